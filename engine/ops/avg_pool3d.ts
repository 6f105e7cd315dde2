import { avgPool3dGradKernel, avgPool3dKernel } from '../../shaders/avg_pool3d.wgsl.ts';
import type { Recording } from '../recording.ts';
import { type Triple, triple } from '../shape.ts';
import { type Tensor, vec4s } from '../tensor.ts';
import { poolExtents } from './pool_extents.ts';

/**
 * Mean over windows of `kernel` voxels side by side (stride = kernel), extents rounded down.
 * torch.nn.functional.avg_pool3d(x, kernel). Errors: ShapeError when no window fits.
 *
 * @param x [N, D, H, W, C]
 * @param kernel voxels [z, y, x], or one number for all
 */
export function avgPool3d(rec: Recording, x: Tensor, kernel: number | Triple): Tensor {
  const k = triple(kernel);
  const { shape, params } = poolExtents('avg_pool3d', x, k);
  const y = rec.tensor(shape, 'avg_pool3d');
  rec.dispatch(avgPool3dKernel(k), { x, y }, { count: vec4s(y), ...params }, vec4s(y));
  return rec.node('avg_pool3d', [x], y, (dy, gradients) => {
    const dx = gradients.out(0);
    if (dx) rec.dispatch(avgPool3dGradKernel(k), { dy, dx }, { count: vec4s(dx), ...params }, vec4s(dx));
  });
}
