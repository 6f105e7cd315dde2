import { type SoftmaxKind, softmaxGradKernel, softmaxKernel } from '../../shaders/softmax.wgsl.ts';
import type { Recording } from '../recording.ts';
import { channels, rows, type Tensor } from '../tensor.ts';

/** p = exp(x - max) / sum exp(x - max) along the last axis. torch.softmax(x, -1). Any channel tensor. */
export function softmax(rec: Recording, x: Tensor): Tensor {
  return normalised(rec, 'softmax', x);
}

/** x - max - log sum exp(x - max) along the last axis. torch.log_softmax(x, -1). Any channel tensor. */
export function logSoftmax(rec: Recording, x: Tensor): Tensor {
  return normalised(rec, 'log_softmax', x);
}

function normalised(rec: Recording, kind: SoftmaxKind, x: Tensor): Tensor {
  const params = { rows: rows(x) };
  const y = rec.like(x, kind);
  rec.dispatch(softmaxKernel(kind, channels(x)), { x, y }, params, params.rows);
  return rec.node(kind, [x], y, (dy, gradients) => {
    const dx = gradients.out(0);
    if (dx) rec.dispatch(softmaxGradKernel(kind, channels(x)), { y, dy, dx }, params, params.rows);
  });
}
