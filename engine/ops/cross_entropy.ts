import {
  crossEntropyGradKernel,
  crossEntropyKernel,
  crossEntropyMeanKernel,
} from '../../shaders/cross_entropy.wgsl.ts';
import { ShapeError } from '../errors.ts';
import type { Recording } from '../recording.ts';
import { formatShape, product } from '../shape.ts';
import { channels, rows, type Tensor } from '../tensor.ts';
import { lanesOf, sumRowsInto } from './reduce.ts';

/** No label at all: what an absent ignoreLabel stands for. */
export const NO_LABEL = 0xffffffff;

export interface CrossEntropyOptions {
  /** Rows with this label take no part. Labels of C and above never do. */
  ignoreLabel?: number;
  /** Dense f32, constant: one factor a sample ([N]) or a row; multiplies the row's loss and leaves the count alone. */
  weights?: Tensor;
}

/**
 * (1 / valid rows) sum over valid rows of weight * -log softmax(logits)[label]; zero when no row is valid. Logits
 * [..., C], labels dense u32, one a row. torch.nn.functional.cross_entropy(ignore_index); with weights the unsupervised
 * loss of ACTION (method.md 4.5). Gradient to the logits only. Returns [1].
 */
export function crossEntropy(
  rec: Recording,
  logits: Tensor,
  labels: Tensor,
  { ignoreLabel = NO_LABEL, weights }: CrossEntropyOptions = {},
): Tensor {
  checkLabels('crossEntropy', logits, labels);
  const count = rows(logits);
  const perWeight = weights ? rowsPerWeight('crossEntropy', logits, weights) : count;
  const classes = channels(logits);
  const inputs: Record<string, Tensor> = weights ? { logits, labels, weights } : { logits, labels };
  const params = { rows: count, ignore_label: ignoreLabel, per_weight: perWeight };

  const lanes = lanesOf(rec.device, count);
  const partial = rec.tensor([lanes, 4], 'cross_entropy_partial');
  rec.dispatch(crossEntropyKernel(classes, !!weights), { ...inputs, y: partial }, { ...params, lanes }, lanes);
  const sums = sumRowsInto(rec, partial, rec.tensor([4], 'cross_entropy_sums'));
  const loss = rec.tensor([1], 'cross_entropy');
  rec.dispatch(crossEntropyMeanKernel(), { sums, y: loss }, {}, 1);
  return rec.node('cross_entropy', [logits], loss, (dy, gradients) => {
    const dx = gradients.out(0);
    if (dx) rec.dispatch(crossEntropyGradKernel(classes, !!weights), { ...inputs, sums, dy, dx }, params, count);
  });
}

/** Rows of the logits that share a weight. Errors: ShapeError unless there are as many for each weight. */
export function rowsPerWeight(op: string, logits: Tensor, weights: Tensor): number {
  const [count, factors] = [rows(logits), product(weights.shape)];
  if (count % factors === 0) return count / factors;
  throw new ShapeError(`${op}: ${factors} weights do not divide the ${count} rows of '${logits.label}'`);
}

/** Errors unless `labels` is dense u32 with one label for each row of the logits. */
export function checkLabels(op: string, logits: Tensor, labels: Tensor): void {
  if (labels.dtype === 'u32' && labels.pitch === channels(labels) && product(labels.shape) === rows(logits)) return;
  throw new ShapeError(
    `${op}: labels '${labels.label}' ${formatShape(labels.shape)} ${labels.dtype} must be dense u32, one for each of the ${rows(logits)} rows of '${logits.label}' ${formatShape(logits.shape)}`,
  );
}
