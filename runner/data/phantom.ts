import { Stream } from '../../engine/random.ts';
import { type Anatomy, randomAnatomy } from './phantom_anatomy.ts';
import { acquire, type Grid, NOMINAL, randomGrid, smoothField } from './phantom_scan.ts';
import { depth, tubeDepth } from './phantom_shapes.ts';
import type { SourceGeometry } from './volume.ts';

/** The structures a phantom can label, in label order; one that is not asked for keeps the label of what encloses it. */
export const STRUCTURES = ['organ', 'chamber', 'lesion', 'vessel', 'neighbour'] as const;
export const MAX_CLASSES = STRUCTURES.length + 1;

/** One generated case: voxels in canonical order (x fastest, as `Volume.data`), and the geometry of its file. */
export interface Phantom {
  readonly image: Uint16Array;
  readonly label: Uint8Array;
  readonly source: SourceGeometry;
}

/**
 * An anatomical phantom: a torso with a fat rim, a spine, a vessel and two organs of the same brightness; the right one
 * holds a chamber and a small lesion. Shapes, pose, contrast between tissues, bias field, blur, noise, shape,
 * spacing and file orientation vary from case to case.
 *
 * @param size voxels along an axis, on average.
 * @param classes 2 to 6, background included: see STRUCTURES.
 * @param index which case of the data set; a case depends on (seed, index, size, classes) alone.
 */
export function phantom(seed: number, index: number, size: number, classes: number): Phantom {
  const half = (size * NOMINAL) / 2;
  const anatomy = randomAnatomy(new Stream(seed, index, 0), half);
  const grid = randomGrid(new Stream(seed, index, 1), size);
  const { label, intensity } = paint(new Stream(seed, index, 2), anatomy, grid, half, classes);
  const image = acquire(new Stream(seed, index, 3), intensity, grid, half);
  return { image, label, source: grid.source };
}

/** Labels by the voxel's centre; intensities with edges one voxel wide (partial volume), tissue texture, bias field. */
function paint(stream: Stream, a: Anatomy, grid: Grid, half: number, classes: number) {
  const [nx, ny, nz] = grid.voxels;
  const label = new Uint8Array(nx * ny * nz);
  const intensity = new Float32Array(label.length);
  const muscle = stream.uniform(0.3, 0.4);
  const organ = muscle + stream.uniform(0.18, 0.32);
  const chamber = organ + stream.uniform(0.18, 0.32);
  const lesion = muscle - stream.uniform(0.08, 0.18);
  const vessel = chamber + stream.uniform(-0.05, 0.1);
  const fat = stream.uniform(0.75, 1);
  const rim = half * 0.08;
  const texture = smoothField(stream, 8, half * 0.2, half * 0.5);
  const bias = smoothField(stream, 3, half * 2, half * 4);
  const number = (name: (typeof STRUCTURES)[number], enclosing: number) => {
    const value = STRUCTURES.indexOf(name) + 1;
    return value < classes ? value : enclosing;
  };
  const values = {
    organ: number('organ', 0),
    chamber: number('chamber', 1),
    lesion: number('lesion', 1),
    vessel: number('vessel', 0),
    neighbour: number('neighbour', 0),
  };
  let tissue = 0;
  let value = 0;
  const layer = (inside: number, brightness: number, as: number) => {
    const share = Math.min(1, Math.max(0, 0.5 + inside / grid.edge));
    tissue += (brightness - tissue) * share;
    if (inside > 0) value = as;
  };
  for (let k = 0, at = 0; k < nz; k++) {
    for (let j = 0; j < ny; j++) {
      for (let i = 0; i < nx; i++, at++) {
        const [x, y, z] = grid.place(i, j, k);
        tissue = 0.02;
        value = 0;
        const body = depth(a.body, x, y, z);
        layer(body, fat, 0);
        if (body > 0) {
          layer(body - rim, muscle, 0);
          const spine = depth(a.spine, x, y, z);
          layer(spine, 0.12, 0);
          layer(spine - half * 0.04, 0.55, 0);
          layer(tubeDepth(a.vessel, x, y, z), vessel, values.vessel);
          layer(Math.min(depth(a.neighbour, x, y, z), body - rim), organ, values.neighbour);
          const inOrgan = Math.min(depth(a.organ, x, y, z), body - rim);
          layer(inOrgan, organ, values.organ);
          if (inOrgan > 0) {
            layer(Math.min(depth(a.chamber, x, y, z), inOrgan - 1.5 * grid.edge), chamber, values.chamber);
            layer(Math.min(depth(a.lesion, x, y, z), inOrgan), lesion, values.lesion);
          }
          tissue *= 1 + 0.05 * texture(x, y, z);
        }
        label[at] = value;
        intensity[at] = tissue * Math.exp(0.2 * bias(x, y, z));
      }
    }
  }
  return { label, intensity };
}
