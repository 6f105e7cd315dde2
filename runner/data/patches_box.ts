import type { Box, WarpSample } from '../../engine/ops/warp.ts';
import { product, type Triple } from '../../engine/shape.ts';
import type { PatchTransform } from './augment.ts';
import type { StoredVoxels } from './voxels.ts';

/** Positions come out of float32 arithmetic on the device: so many voxels off at most. */
const SLACK = 0.01;

/** Rows of which this share is needed are taken whole: then planes are copied, not rows. */
const WHOLE_ROW = 0.75;

/** The smallest box of a volume that holds every voxel a patch reads. */
export function sourceBox(transform: PatchTransform, centre: Triple, patch: Triple, volume: Triple): Box {
  const displacement = displacementRange(transform.control);
  const ranges = volume.map((size, row) => {
    let reach = SLACK;
    for (let j = 0; j < 3; j++) reach += (Math.abs(transform.matrix[3 * row + j]) * (patch[j] - 1)) / 2;
    const clamp = (q: number) => Math.min(Math.max(q, 0), size - 1);
    const first = Math.floor(clamp(centre[row] - reach + displacement.low[row]));
    const last = Math.ceil(clamp(centre[row] + reach + displacement.high[row]));
    const whole = row === 2 && last - first + 1 >= WHOLE_ROW * size;
    return whole ? [0, size] : [first, last - first + 1];
  });
  return {
    origin: ranges.map(([first]) => first) as unknown as Triple,
    extent: ranges.map(([, extent]) => extent) as unknown as Triple,
  };
}

/** The most voxels that sourceBox can return for positions at most `reach` apart. */
export function largestBox(reach: readonly number[], volume: Triple): number {
  return product(
    volume.map((size, row) => {
      const extent = Math.min(size, Math.ceil(reach[row] + 2 * SLACK) + 2);
      return row === 2 && extent >= WHOLE_ROW * size ? size : extent;
    }),
  );
}

function displacementRange(control: Float32Array | null): { low: number[]; high: number[] } {
  const low = [0, 0, 0];
  const high = [0, 0, 0];
  for (let i = 0; control && i < control.length; i++) {
    if (i % 4 === 3) continue;
    low[i % 4] = Math.min(low[i % 4], control[i]);
    high[i % 4] = Math.max(high[i % 4], control[i]);
  }
  return { low, high };
}

/** Copies a box of a volume [z][y][x] that begins at `from` of `source`, without per-voxel work. */
export function copyBox<T extends Float32Array | Uint8Array>(
  source: T,
  from: number,
  volume: WarpSample['volume'],
  { origin, extent }: Box,
  target: T,
  to: number,
): void {
  const [, ny, nx] = volume;
  const [oz, oy, ox] = origin;
  const wholeRows = extent[2] === nx;
  const wholePlanes = wholeRows && extent[1] === ny;
  const run = wholePlanes ? product(extent) : wholeRows ? extent[1] * nx : extent[2];
  const planes = wholePlanes ? 1 : extent[0];
  const rows = wholeRows ? 1 : extent[1];
  for (let z = 0; z < planes; z++) {
    for (let y = 0; y < rows; y++) {
      const start = from + ((oz + z) * ny + oy + y) * nx + ox;
      target.set(source.subarray(start, start + run), to);
      to += run;
    }
  }
}

/** The same out of a file: of each plane the rows are read in one piece. */
export function readBox(
  source: StoredVoxels,
  from: number,
  volume: Triple,
  { origin, extent }: Box,
  target: Float32Array<ArrayBuffer>,
  to: number,
): void {
  const [, ny, nx] = volume;
  const [oz, oy, ox] = origin;
  const [nz, rows, columns] = extent;
  const plane = new Float32Array(rows * nx);
  for (let z = 0; z < nz; z++) {
    source.read(from + ((oz + z) * ny + oy) * nx, plane);
    const part: Box = { origin: [0, 0, ox], extent: [1, rows, columns] };
    copyBox(plane, 0, [1, rows, nx], part, target, to + z * rows * columns);
  }
}
