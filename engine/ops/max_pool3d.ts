import { maxPool3dGradKernel, maxPool3dKernel } from '../../shaders/max_pool3d.wgsl.ts';
import type { Recording } from '../recording.ts';
import { ceilDiv, type Triple, triple } from '../shape.ts';
import { type Tensor, vec4s } from '../tensor.ts';
import { poolExtents } from './pool_extents.ts';

/**
 * Maximum over windows of `kernel` voxels side by side (stride = kernel), extents rounded down; backward, the first
 * maximum in z, y, x order takes the gradient. torch.nn.functional.max_pool3d(x, kernel). Errors: ShapeError when no
 * window fits.
 *
 * @param x [N, D, H, W, C]
 * @param kernel voxels [z, y, x], or one number for all
 */
export function maxPool3d(rec: Recording, x: Tensor, kernel: number | Triple): Tensor {
  const k = triple(kernel);
  const { shape, params } = poolExtents('max_pool3d', x, k);
  const y = rec.tensor(shape, 'max_pool3d', { dtype: x.dtype });
  rec.dispatch(maxPool3dKernel(k), { x, y }, { count: vec4s(y), ...params }, vec4s(y));
  return rec.node('max_pool3d', [x], y, (dy, gradients) => {
    const dx = gradients.out(0);
    if (!dx) return;
    const [windows_d, windows_h, windows_w] = [params.d, params.h, params.w].map((size, a) => ceilDiv(size, k[a]));
    const count = shape[0] * windows_d * windows_h * windows_w * params.pitch;
    const grid = { count, ...params, windows_d, windows_h, windows_w };
    rec.dispatch(maxPool3dGradKernel(k), { x, dy, dx }, grid, count);
  });
}
