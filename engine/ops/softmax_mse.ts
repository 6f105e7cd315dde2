import { softmaxMseGradKernel, softmaxMseKernel } from '../../shaders/softmax_mse.wgsl.ts';
import { ShapeError } from '../errors.ts';
import type { Recording } from '../recording.ts';
import { formatShape, product, sameShape } from '../shape.ts';
import { channels, rows, type Tensor } from '../tensor.ts';
import { lanesOf, sumAllInto } from './reduce.ts';

/**
 * Mean over voxels and classes of (softmax(logits) - target)^2, target the teacher's probabilities, both [..., C]: the
 * consistency of Mean Teacher (Tarvainen and Valpola 2017). Gradient to the logits only. Returns [1].
 */
export function softmaxMse(rec: Recording, logits: Tensor, target: Tensor): Tensor {
  if (!sameShape(logits.shape, target.shape)) {
    throw new ShapeError(
      `softmaxMse: logits '${logits.label}' ${formatShape(logits.shape)} and probabilities '${target.label}' ${formatShape(target.shape)} must have one shape`,
    );
  }
  const [classes, count, elements] = [channels(logits), rows(logits), product(logits.shape)];
  const lanes = lanesOf(rec.device, count);
  const partial = rec.tensor([lanes, 1], 'softmax_mse_partial');
  rec.dispatch(softmaxMseKernel(classes), { logits, q: target, y: partial }, { rows: count, lanes }, lanes);
  const loss = sumAllInto(rec, partial, rec.tensor([1], 'softmax_mse'), 1 / elements);
  return rec.node('softmax_mse', [logits], loss, (dy, gradients) => {
    const dx = gradients.out(0);
    const params = { rows: count, factor: 2 / elements };
    if (dx) rec.dispatch(softmaxMseGradKernel(classes), { logits, q: target, dy, dx }, params, count);
  });
}
