import { confidentShareKernel, shareKernel } from '../../shaders/confident_share.wgsl.ts';
import { argmax } from '../ops/argmax.ts';
import { crossEntropy } from '../ops/cross_entropy.ts';
import { lanesOf, sumRowsInto } from '../ops/reduce.ts';
import { diceCrossEntropy } from '../ops/soft_dice.ts';
import type { Recording } from '../recording.ts';
import { product } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { PseudoLabelled } from './mix.ts';

/** What the teacher says of its view (method.md 4.1): the most probable class of each voxel and its probability. No gradient. */
export function pseudoLabels(rec: Recording, image: Tensor, teacherLogits: Tensor): PseudoLabelled {
  return { image, ...argmax(rec, teacherLogits) };
}

/**
 * w_b (method.md 4.5): the share of each sample's valid voxels whose confidence is at least `threshold`; 0 when none is
 * valid. Labels dense u32 and confidence dense f32 [B, ...] -> weights dense f32 [B] and their mean [1]. Constants: no gradient.
 */
export function confidentShare(
  rec: Recording,
  { labels, confidence }: Pick<PseudoLabelled, 'labels' | 'confidence'>,
  classes: number,
  threshold: number,
): { weights: Tensor; mean: Tensor } {
  const [samples, ...rest] = labels.shape;
  const rows = product(rest);
  const lanes = lanesOf(rec.device, rows);
  const count = samples * lanes;
  const partial = rec.tensor([count, 4], 'confident_partial');
  const params = { count, rows, lanes, classes, threshold };
  rec.dispatch(confidentShareKernel(), { labels, confidence, y: partial }, params, count);
  const sums = sumRowsInto(rec, partial, rec.tensor([samples, 4], 'confident_sums'), { groups: samples });
  const weights = rec.tensor([samples], 'confident_share', { dense: true });
  const mean = rec.tensor([1], 'confident_mean');
  rec.dispatch(shareKernel(), { sums, weights, mean }, { samples }, 1);
  return { weights, mean };
}

/**
 * L_unsup (method.md 4.5) = (1 / |Omega|) sum over valid voxels of w CE(logits, label), or with `dice` the mean of that and soft
 * Dice whose sums carry the same w. Logits [B, D, H, W, C], gradient to them only. Returns [1]; 0 when nothing is valid or has
 * a weight.
 *
 * @param weights w, dense f32, one a sample (w_b) or a voxel; absent: 1
 */
export function unsupervisedLoss(
  rec: Recording,
  logits: Tensor,
  { labels, weights }: { readonly labels: Tensor; readonly weights?: Tensor },
  dice: boolean,
): Tensor {
  return dice
    ? diceCrossEntropy(rec, logits, labels, { weights }).loss
    : crossEntropy(rec, logits, labels, { weights });
}
