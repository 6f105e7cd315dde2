import type { Dense, Triple } from './dense.ts';
import { zeros } from './dense.ts';

/** A whole volume, planar [C][z][y][x], with a class a voxel. */
export type WarpVolume = { shape: Triple; channels: number; image: ArrayLike<number>; labels: ArrayLike<number> };

export type WarpTransform = {
  /** Row-major 3 x 3, for [z, y, x]. */
  matrix: readonly number[];
  centre: Triple;
  /** Displacements [gz][gy][gx][3] in voxels. */
  elastic?: { control: ArrayLike<number>; shape: Triple; spacing: Triple };
};

/** Positions as close as this to a corner of two voxels' territories may be rounded either way in float32. */
const TIE = 1e-3;

/**
 * q = M (v - (patch - 1) / 2) + c + displacement(v), clamped to the volume; image [D, H, W, C] trilinear, label at
 * round(q). `tied` marks voxels whose label is a matter of rounding.
 */
export function warp(
  { shape, channels, image, labels }: WarpVolume,
  transform: WarpTransform,
  patch: Triple,
): { image: Dense; labels: Int32Array; tied: boolean[] } {
  const [D, H, W] = patch;
  const [nz, ny, nx] = shape;
  const y = zeros([D, H, W, channels]);
  const classes = new Int32Array(D * H * W);
  const tied: boolean[] = [];
  for (let z = 0; z < D; z++)
    for (let yy = 0; yy < H; yy++)
      for (let x = 0; x < W; x++) {
        const v = (z * H + yy) * W + x;
        const q = position(transform, [z, yy, x], patch).map((value, axis) =>
          Math.min(Math.max(value, 0), shape[axis] - 1),
        );
        for (let c = 0; c < channels; c++) {
          let sum = 0;
          for (let corner = 0; corner < 8; corner++) {
            let weight = 1;
            const at = q.map((value, axis) => {
              const high = (corner >> axis) & 1;
              const f = value - Math.floor(value);
              weight *= high ? f : 1 - f;
              return Math.min(Math.floor(value) + high, shape[axis] - 1);
            });
            sum += weight * image[((c * nz + at[0]) * ny + at[1]) * nx + at[2]];
          }
          y.data[v * channels + c] = sum;
        }
        const near = q.map((value) => Math.round(value));
        classes[v] = labels[(near[0] * ny + near[1]) * nx + near[2]];
        tied[v] = q.some((value) => Math.abs(value - Math.floor(value) - 0.5) < TIE);
      }
  return { image: y, labels: classes, tied };
}

function position({ matrix, centre, elastic }: WarpTransform, v: readonly number[], patch: Triple): number[] {
  const at = v.map((value, axis) => value - (patch[axis] - 1) / 2);
  const q = [0, 1, 2].map(
    (r) => matrix[3 * r] * at[0] + matrix[3 * r + 1] * at[1] + matrix[3 * r + 2] * at[2] + centre[r],
  );
  return elastic ? displacement(elastic, v).map((d, axis) => q[axis] + d) : q;
}

/** Uniform cubic B-spline: sum of B(knot - k) control_k, B by its pieces (Unser 1999). */
function displacement(
  { control, shape, spacing }: NonNullable<WarpTransform['elastic']>,
  v: readonly number[],
): number[] {
  const sum = [0, 0, 0];
  for (let z = 0; z < shape[0]; z++)
    for (let y = 0; y < shape[1]; y++)
      for (let x = 0; x < shape[2]; x++) {
        const weight = [z, y, x].reduce((w, k, axis) => w * spline(v[axis] / spacing[axis] + 1 - k), 1);
        if (weight === 0) continue;
        for (let axis = 0; axis < 3; axis++) {
          sum[axis] += weight * control[((z * shape[1] + y) * shape[2] + x) * 3 + axis];
        }
      }
  return sum;
}

function spline(t: number): number {
  const a = Math.abs(t);
  if (a < 1) return 2 / 3 - a * a + (a * a * a) / 2;
  return a < 2 ? (2 - a) ** 3 / 6 : 0;
}
