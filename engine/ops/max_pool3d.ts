import { maxPool3dGradKernel, maxPool3dKernel } from '../../shaders/max_pool3d.wgsl.ts';
import type { Recording } from '../recording.ts';
import { type Triple, triple } from '../shape.ts';
import { type Tensor, vec4s } from '../tensor.ts';
import { poolExtents } from './pool_extents.ts';
import { readThrough } from './read_through.ts';

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
  const count = vec4s(y);
  const forward = readThrough(rec, x);
  const windows = { count, ...params, slope: forward.slope };
  rec.dispatch(maxPool3dKernel(k, forward.normed), { x: forward.source, y, ...forward.norm }, windows, count);
  return rec.node('max_pool3d', [x], y, (dy, gradients) => {
    gradients.add(0, (dx) => {
      const { source, normed, norm, slope } = readThrough(rec, x);
      rec.dispatch(maxPool3dGradKernel(k, normed), { x: source, dy, dx, ...norm }, { ...windows, slope }, count);
    });
  });
}
