import { resize3dGradKernel, resize3dKernel } from '../../shaders/resize3d.wgsl.ts';
import { ShapeError } from '../errors.ts';
import type { Recording } from '../recording.ts';
import { formatShape, type Triple } from '../shape.ts';
import { type Tensor, vec4s, volumeShape } from '../tensor.ts';

export interface ResizeOptions {
  /** true: the corner voxels' centres meet; false (default): the volumes' borders meet. */
  alignCorners?: boolean;
}

/**
 * Trilinear interpolation to another size. torch.nn.functional.interpolate(x, size, mode='trilinear', align_corners).
 * Errors: ShapeError when an extent of `size` is not a positive integer.
 *
 * @param x [N, D, H, W, C]
 * @param size voxels [z, y, x]
 */
export function resize3d(
  rec: Recording,
  x: Tensor,
  size: Triple,
  { alignCorners = false }: ResizeOptions = {},
): Tensor {
  const [n, d, h, w, c] = volumeShape(x, 'resize3d');
  if (size.length !== 3 || size.some((extent) => !Number.isInteger(extent) || extent < 1)) {
    throw new ShapeError(`resize3d: '${x.label}' to ${formatShape(size)}; give three positive whole extents [z, y, x]`);
  }
  const params = { pitch: x.pitch / 4, ...resizeParams([d, h, w], size, alignCorners) };
  const resized = rec.tensor([n, ...size, c], 'resize3d', { dtype: x.dtype });
  const count = vec4s(resized);
  rec.dispatch(resize3dKernel(), { x, y: resized }, { count, ...params }, count);
  return rec.node('resize3d', [x], resized, (dy, gradients) => {
    const dx = gradients.out(0);
    if (dx) rec.dispatch(resize3dGradKernel(), { dy, dx }, { count: vec4s(dx), ...params }, vec4s(dx));
  });
}

/** Position of output o along one axis: (step o + bias) / den of the input, clamped to its ends. */
export interface AxisMap {
  readonly step: number;
  readonly bias: number;
  readonly den: number;
}

/**
 * The map of an axis of `to` outputs onto `from` inputs: o (from - 1) / (to - 1) with aligned corners, else
 * (o + 1/2) from / to - 1/2. A single input voxel answers for every position.
 */
export function axisMap(from: number, to: number, alignCorners: boolean): AxisMap {
  if (!alignCorners) return { step: 2 * from, bias: from - to, den: 2 * to };
  if (from === 1) return { step: 1, bias: 0, den: to };
  return { step: from - 1, bias: 0, den: Math.max(to - 1, 1) };
}

/** Values of shaders/shared/interpolation.ts's resizeFields: volumes of `from` voxels read at the resolution of `to`. */
export function resizeParams(from: Triple, to: Triple, alignCorners: boolean): Record<string, number> {
  const [d, h, w] = from;
  const [od, oh, ow] = to;
  const params: Record<string, number> = { d, h, w, od, oh, ow };
  ['z', 'y', 'x'].forEach((axis, a) => {
    const { step, bias, den } = axisMap(from[a], to[a], alignCorners);
    Object.assign(params, { [`step_${axis}`]: step, [`bias_${axis}`]: bias, [`den_${axis}`]: den });
  });
  return params;
}
