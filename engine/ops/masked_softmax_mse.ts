import {
  maskedSoftmaxMseGradKernel,
  maskedSoftmaxMseKernel,
  maskedSoftmaxMseMeanKernel,
} from '../../shaders/masked_softmax_mse.wgsl.ts';
import { ShapeError } from '../errors.ts';
import type { Recording } from '../recording.ts';
import { formatShape, product, sameShape } from '../shape.ts';
import { channels, rows, type Tensor } from '../tensor.ts';
import { lanesOf, sumRowsInto } from './reduce.ts';

/** Which rows take part in maskedSoftmaxMse. */
export interface Certainty {
  /** Dense f32, one a row, constant; NaN is not certain. */
  readonly uncertainty: Tensor;
  /** Dense f32 [K], read on the device at every replay; a row takes part where its uncertainty is below scalars[index]. */
  readonly scalars: Tensor;
  readonly index: number;
}

/**
 * sum over certain rows and all classes of (softmax(logits) - target)^2 / (2 certain rows), the mean for two classes; 0, with
 * a gradient of 0, where no row is certain: the consistency of UA-MT (Yu et al. 2019; method.md 10, whose 1e-16 in the
 * divisor this is to float32). Logits and target, the teacher's probabilities, [..., C]. Gradient to the logits only. `share`
 * is the certain part of the rows, for the log. Each [1].
 */
export function maskedSoftmaxMse(
  rec: Recording,
  logits: Tensor,
  target: Tensor,
  { uncertainty, scalars, index }: Certainty,
): { loss: Tensor; share: Tensor } {
  const [classes, count] = [channels(logits), rows(logits)];
  if (!sameShape(logits.shape, target.shape)) {
    throw new ShapeError(
      `maskedSoftmaxMse: logits '${logits.label}' ${formatShape(logits.shape)} and probabilities '${target.label}' ${formatShape(target.shape)} must have one shape`,
    );
  }
  if (uncertainty.pitch !== channels(uncertainty) || product(uncertainty.shape) !== count) {
    throw new ShapeError(
      `maskedSoftmaxMse: uncertainty '${uncertainty.label}' ${formatShape(uncertainty.shape)} must be dense, one for each of the ${count} rows of '${logits.label}' ${formatShape(logits.shape)}`,
    );
  }
  if (!Number.isInteger(index) || index < 0 || index >= channels(scalars)) {
    throw new ShapeError(`maskedSoftmaxMse: index ${index} is not in '${scalars.label}' ${formatShape(scalars.shape)}`);
  }
  const inputs = { scalars, logits, q: target, uncertainty };
  const params = { rows: count, threshold_slot: index };
  const lanes = lanesOf(rec.device, count);
  const partial = rec.tensor([lanes, 4], 'masked_softmax_mse_partial');
  rec.dispatch(maskedSoftmaxMseKernel(classes), { ...inputs, y: partial }, { ...params, lanes }, lanes);
  const sums = sumRowsInto(rec, partial, rec.tensor([4], 'masked_softmax_mse_sums'));
  const [loss, share] = [rec.tensor([1], 'masked_softmax_mse'), rec.tensor([1], 'certain_share')];
  rec.dispatch(maskedSoftmaxMseMeanKernel(), { sums, loss, share }, { rows: count }, 1);
  const output = rec.node('masked_softmax_mse', [logits], loss, (dy, gradients) => {
    const dx = gradients.out(0);
    if (dx) rec.dispatch(maskedSoftmaxMseGradKernel(classes), { ...inputs, sums, dy, dx }, params, count);
  });
  return { loss: output, share };
}
