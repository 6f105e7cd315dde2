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
  const [od, oh, ow] = size;
  const params = {
    pitch: x.pitch / 4,
    d,
    h,
    w,
    od,
    oh,
    ow,
    ...axisParams('z', d, od, alignCorners),
    ...axisParams('y', h, oh, alignCorners),
    ...axisParams('x', w, ow, alignCorners),
  };
  const resized = rec.tensor([n, od, oh, ow, c], 'resize3d');
  const count = vec4s(resized);
  rec.dispatch(resize3dKernel(), { x, y: resized }, { count, ...params }, count);
  return rec.node('resize3d', [x], resized, (dy, gradients) => {
    const dx = gradients.out(0);
    if (dx) rec.dispatch(resize3dGradKernel(), { dy, dx }, { count: vec4s(dx), ...params }, vec4s(dx));
  });
}

/**
 * Output o of an axis lies at (step o + bias) / den of the input, before clamping: o (from - 1) / (to - 1) with aligned
 * corners, else (o + 1/2) from / to - 1/2. A single input voxel answers for every position.
 */
function axisParams(axis: 'z' | 'y' | 'x', from: number, to: number, alignCorners: boolean): Record<string, number> {
  const named = (step: number, bias: number, den: number) => ({
    [`step_${axis}`]: step,
    [`bias_${axis}`]: bias,
    [`den_${axis}`]: den,
  });
  if (!alignCorners) return named(2 * from, from - to, 2 * to);
  if (from === 1) return named(1, 0, to);
  return named(from - 1, 0, Math.max(to - 1, 1));
}
