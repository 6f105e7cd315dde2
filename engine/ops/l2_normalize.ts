import { l2NormalizeGradKernel, l2NormalizeKernel } from '../../shaders/l2_normalize.wgsl.ts';
import type { Recording } from '../recording.ts';
import { rows, type Tensor } from '../tensor.ts';

/** y = x / max(|x|, epsilon), |x| over the last axis. torch.nn.functional.normalize(x, dim=-1). Any channel tensor. */
export function l2Normalize(rec: Recording, x: Tensor, epsilon = 1e-12): Tensor {
  const params = { rows: rows(x), pitch: x.pitch / 4, epsilon };
  const y = rec.like(x, 'l2_normalize');
  rec.dispatch(l2NormalizeKernel(), { x, y }, params, params.rows);
  return rec.node('l2_normalize', [x], y, (dy, gradients) => {
    const dx = gradients.out(0);
    if (dx) rec.dispatch(l2NormalizeGradKernel(), { x, dy, dx }, params, params.rows);
  });
}
