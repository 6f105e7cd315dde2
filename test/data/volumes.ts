import type { Triple } from '../../engine/shape.ts';
import type { Volume } from '../../runner/data/volume.ts';

/** A volume with canonical axes whose centre lies at the origin of the world. `data` is planar, x fastest. */
export function volumeOf(data: ArrayLike<number>, shape: Triple, spacing: Triple = [1, 1, 1]): Volume {
  const [nz, ny, nx] = shape;
  const [sz, sy, sx] = spacing;
  const at = (n: number, mm: number) => (-(n - 1) / 2) * mm;
  const affine = [sx, 0, 0, at(nx, sx), 0, sy, 0, at(ny, sy), 0, 0, sz, at(nz, sz), 0, 0, 0, 1];
  const axis = (a: 0 | 1 | 2) => ({ axis: a, flip: false });
  return {
    data: Float32Array.from(data),
    shape,
    channels: data.length / (nz * ny * nx),
    spacing,
    affine,
    source: { dim: [nx, ny, nz], affine, axes: [axis(0), axis(1), axis(2)] },
  };
}

/** A value for each voxel of a planar volume. */
export function voxels(shape: Triple, value: (z: number, y: number, x: number) => number): Float32Array {
  const [nz, ny, nx] = shape;
  return Float32Array.from({ length: nz * ny * nx }, (_, i) =>
    value(Math.floor(i / (ny * nx)), Math.floor(i / nx) % ny, i % nx),
  );
}
