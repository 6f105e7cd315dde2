import { UsageError } from '../../engine/errors.ts';
import { formatShape, product, type Triple } from '../../engine/shape.ts';

/** Relative difference of spacing below which two grids count as the same. */
export const SAME_SPACING = 1e-3;

/** A volume's grid: voxels and millimetres along [z, y, x]. */
export interface Grid {
  readonly shape: Triple;
  readonly spacing: Triple;
}

/**
 * The grid of whole voxels that covers the same box of space at nearly the target spacing (mm; null keeps it). The
 * spacing returned is exact: extent / voxels. An axis that agrees within 0.1 % stays as it is.
 */
export function targetGrid({ shape, spacing }: Grid, target: Triple | null): Grid {
  if (!target) return { shape, spacing };
  if (!target.every((mm) => mm > 0 && mm < Infinity)) {
    throw new UsageError(`the target spacing [z, y, x] is ${formatShape(target)} mm; give three numbers above 0`);
  }
  const voxels = shape.map((n, axis) => {
    if (Math.abs(spacing[axis] / target[axis] - 1) <= SAME_SPACING) return n;
    return Math.max(1, Math.round((n * spacing[axis]) / target[axis]));
  });
  return {
    shape: voxels as unknown as Triple,
    spacing: voxels.map((n, axis) => (spacing[axis] * shape[axis]) / n) as unknown as Triple,
  };
}

/**
 * Linear resampling of planar channels [C][z][y][x] to another number of voxels over the same box of space (half-pixel
 * centres, clamped at the edges): torch.nn.functional.interpolate(mode='trilinear', align_corners=False). The way back is
 * the same call with the shapes exchanged. Returns `data` itself where the shapes agree.
 */
export function resampleTo(data: Float32Array, from: Triple, to: Triple): Float32Array {
  const channels = data.length / product(from);
  if (!Number.isInteger(channels)) {
    throw new RangeError(`${data.length} voxels are no whole number of channels of ${formatShape(from)}`);
  }
  // The axis that shrinks most goes first, so that the others have less to do.
  const order = [0, 1, 2].sort((a, b) => to[a] / from[a] - to[b] / from[b]);
  const shape = [channels, ...from];
  let result = data;
  for (const axis of order) {
    if (to[axis] === from[axis]) continue;
    result = alongAxis(result, shape, axis + 1, to[axis]);
    shape[axis + 1] = to[axis];
  }
  return result;
}

/** Two-tap interpolation along one axis of [outer, n, inner]. */
function alongAxis(data: Float32Array, shape: readonly number[], axis: number, size: number): Float32Array {
  const n = shape[axis];
  const outer = product(shape.slice(0, axis));
  const inner = product(shape.slice(axis + 1));
  const result = new Float32Array(outer * size * inner);
  for (let i = 0; i < size; i++) {
    const at = Math.min(Math.max(((i + 0.5) * n) / size - 0.5, 0), n - 1);
    const low = Math.floor(at);
    const f = at - low;
    const step = low + 1 < n ? inner : 0;
    for (let o = 0; o < outer; o++) {
      const source = (o * n + low) * inner;
      const target = (o * size + i) * inner;
      for (let k = 0; k < inner; k++) {
        const a = data[source + k];
        result[target + k] = a + f * (data[source + step + k] - a);
      }
    }
  }
  return result;
}

/**
 * Nearest-neighbour resampling of one channel [z][y][x] over the same box of space: voxel i takes floor((i + 0.5) n /
 * size), torch.nn.functional.interpolate(mode='nearest-exact'). Returns `data` itself where the shapes agree.
 */
export function resampleNearest<T extends Uint8Array | Uint16Array | Float32Array>(
  data: T,
  from: Triple,
  to: Triple,
): T {
  if (from.every((n, axis) => n === to[axis])) return data;
  const [fz, fy, fx] = from.map((n, axis) =>
    Int32Array.from({ length: to[axis] }, (_, i) => Math.min(n - 1, Math.floor(((i + 0.5) * n) / to[axis]))),
  );
  const result = new (data.constructor as new (n: number) => T)(product(to));
  for (let z = 0, i = 0; z < to[0]; z++) {
    for (let y = 0; y < to[1]; y++) {
      const row = (fz[z] * from[1] + fy[y]) * from[2];
      for (let x = 0; x < to[2]; x++) result[i++] = data[row + fx[x]];
    }
  }
  return result;
}
