import {
  type SoftDiceKernelOptions,
  softDiceBlocks,
  softDiceGradKernel,
  softDiceKernel,
  softDiceMeanKernel,
  softDiceUnits,
} from '../../shaders/soft_dice.wgsl.ts';
import type { Recording } from '../recording.ts';
import { channels, rows, type Tensor } from '../tensor.ts';
import { checkLabels, NO_LABEL, rowsPerWeight } from './cross_entropy.ts';
import { lanesOf, sumRowsInto } from './reduce.ts';

export interface SoftDiceOptions {
  /** Denominator sum p^2 + y^2 (method.md 4.6, the default) or sum p + y (Milletari et al. 2016, nnU-Net). */
  squared?: boolean;
  /** Whether class 0 enters the mean over classes; default true. */
  background?: boolean;
  /** Added to numerator and denominator; default 1e-5. */
  epsilon?: number;
  /** Rows with this label take no part. Labels of C and above never do. */
  ignoreLabel?: number;
  /**
   * Dense f32, constant: one factor a sample ([N]) or a row, w in sum w p y and sum w (p^2 + y^2); cross-entropy beside it is
   * weighted as in crossEntropy.
   */
  weights?: Tensor;
}

/**
 * 1 - mean over classes of (2 sum p y + eps) / (sum p^2 + sum y^2 + eps), p = softmax(logits), y the one-hot labels, sums
 * over the whole batch. Logits [..., C], labels dense u32, one a row. Gradient to the logits. Returns [1].
 */
export function softDice(rec: Recording, logits: Tensor, labels: Tensor, options: SoftDiceOptions = {}): Tensor {
  checkLabels('softDice', logits, labels);
  return fused(rec, logits, labels, options, false).dice;
}

/** The loss to differentiate and its two parts, for the log only: they pass no gradient on. Each [1]. */
export interface DiceCrossEntropy {
  loss: Tensor;
  ce: Tensor;
  dice: Tensor;
}

/**
 * (cross-entropy + soft Dice) / 2 (method.md 4.6), both from one pass over the logits and one for the gradient. Equals
 * the mean of crossEntropy and softDice with the same options.
 */
export function diceCrossEntropy(
  rec: Recording,
  logits: Tensor,
  labels: Tensor,
  options: SoftDiceOptions = {},
): DiceCrossEntropy {
  checkLabels('diceCrossEntropy', logits, labels);
  const { loss, ce, dice } = fused(rec, logits, labels, options, true);
  return { loss: loss as Tensor, ce: ce as Tensor, dice };
}

function fused(
  rec: Recording,
  logits: Tensor,
  labels: Tensor,
  { squared = true, background = true, epsilon = 1e-5, ignoreLabel = NO_LABEL, weights }: SoftDiceOptions,
  crossEntropy: boolean,
): { loss?: Tensor; ce?: Tensor; dice: Tensor } {
  const kernels: SoftDiceKernelOptions = { classes: channels(logits), squared, crossEntropy, weighted: !!weights };
  const count = rows(logits);
  const lanes = lanesOf(rec.device, count);
  const width = 4 * softDiceUnits(kernels);
  const partial = rec.tensor([lanes, width], 'soft_dice_partial');
  const per = weights && { per_weight: rowsPerWeight('softDice', logits, weights) };
  const params = { rows: count, ignore_label: ignoreLabel, ...per };
  const given: Record<string, Tensor> = weights ? { logits, labels, weights } : { logits, labels };
  const invocations = lanes * softDiceBlocks(kernels.classes);
  rec.dispatch(softDiceKernel(kernels), { ...given, y: partial }, { ...params, lanes }, invocations);
  const sums = sumRowsInto(rec, partial, rec.tensor([width], 'soft_dice_sums'));

  const slopes = rec.tensor([2, logits.pitch], 'soft_dice_slopes');
  const dice = rec.tensor([1], 'dice');
  const parts: Record<string, Tensor> = crossEntropy
    ? { ce: rec.tensor([1], 'ce'), loss: rec.tensor([1], 'dice_cross_entropy') }
    : {};
  const mean = { first_class: background ? 0 : 1, epsilon };
  rec.dispatch(softDiceMeanKernel(kernels), { sums, slopes, dice, ...parts }, mean, 1);

  const output = rec.node('soft_dice', [logits], parts.loss ?? dice, (dy, gradients) => {
    const dx = gradients.out(0);
    const inputs: Record<string, Tensor> = crossEntropy ? { ...given, slopes, sums } : { ...given, slopes };
    if (dx) rec.dispatch(softDiceGradKernel(kernels), { ...inputs, dy, dx }, params, count);
  });
  return crossEntropy ? { ...parts, loss: output, dice } : { dice: output };
}
