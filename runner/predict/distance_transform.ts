/**
 * Exact squared Euclidean distance transform on an anisotropic grid: the lower envelope of parabolas, one axis after the
 * other, linear in the number of voxels (Felzenszwalb and Huttenlocher, "Distance Transforms of Sampled Functions", 2012).
 * Its square root equals scipy.ndimage.distance_transform_edt(mask == 0, sampling=spacing).
 */
import type { Triple } from '../../engine/shape.ts';

/**
 * Squared distance from every voxel to the nearest voxel where `mask` is not 0; Infinity everywhere when there is none.
 *
 * @param mask voxels of a volume of `shape` [z, y, x], x fastest
 * @param spacing distance between neighbours along [z, y, x]; the result is in its unit, squared
 */
export function squaredDistanceTransform(mask: Uint8Array, shape: Triple, spacing: Triple): Float64Array {
  const field = new Float64Array(mask.length);
  for (let i = 0; i < mask.length; i++) field[i] = mask[i] ? 0 : Number.POSITIVE_INFINITY;
  const [nz, ny, nx] = shape;
  transformLines(field, nx, 1, ny * nz, nx, 1, 0, spacing[2]);
  transformLines(field, ny, nx, nx, 1, nz, nx * ny, spacing[1]);
  transformLines(field, nz, nx * ny, nx * ny, 1, 1, 0, spacing[0]);
  return field;
}

/** Replaces each line of `count` values `stride` apart; lines start at `i * lineStep + j * blockStep`. */
function transformLines(
  field: Float64Array,
  count: number,
  stride: number,
  lines: number,
  lineStep: number,
  blocks: number,
  blockStep: number,
  spacing: number,
): void {
  if (count === 1) return;
  const envelope = createEnvelope(count);
  for (let j = 0; j < blocks; j++) {
    for (let i = 0; i < lines; i++)
      lowerEnvelope(field, j * blockStep + i * lineStep, stride, count, spacing, envelope);
  }
}

/** Scratch of one line: the height of each parabola, the vertices on the envelope, and where each of them takes over. */
interface Envelope {
  height: Float64Array;
  vertex: Int32Array;
  from: Float64Array;
}

function createEnvelope(count: number): Envelope {
  return { height: new Float64Array(count), vertex: new Int32Array(count), from: new Float64Array(count + 1) };
}

/** d(p) = min over q of (spacing * (p - q))^2 + height(q), in place along one line. */
function lowerEnvelope(
  field: Float64Array,
  start: number,
  stride: number,
  count: number,
  spacing: number,
  { height, vertex, from }: Envelope,
): void {
  const square = spacing * spacing;
  let last = -1;
  for (let q = 0; q < count; q++) {
    const h = field[start + q * stride];
    height[q] = h;
    if (h === Number.POSITIVE_INFINITY) continue;
    let crossing = Number.NEGATIVE_INFINITY;
    while (last >= 0) {
      const v = vertex[last];
      crossing = (q + v + (h - height[v]) / (square * (q - v))) / 2;
      if (crossing > from[last]) break;
      last--;
      crossing = Number.NEGATIVE_INFINITY;
    }
    last++;
    vertex[last] = q;
    from[last] = crossing;
  }
  if (last < 0) return;
  from[last + 1] = Number.POSITIVE_INFINITY;
  for (let p = 0, k = 0; p < count; p++) {
    while (from[k + 1] < p) k++;
    const step = spacing * (p - vertex[k]);
    field[start + p * stride] = step * step + height[vertex[k]];
  }
}
