import { weightOf } from './cross_entropy.ts';
import { type Dense, rowsOf, zeros } from './dense.ts';
import { softmax, softmaxGrad } from './softmax.ts';

export type SoftDiceOptions = {
  /** Denominator sum p^2 + y^2 (V-Net, Milletari et al. 2016; ACTION) or the plain sum p + y (nnU-Net). */
  squared?: boolean;
  /** Whether class 0 enters the mean over classes. */
  background?: boolean;
  epsilon?: number;
  /** Voxels with this label are left out of every sum. */
  ignore?: number;
  /** One factor a voxel, or one a sample, in every sum. */
  weights?: ArrayLike<number>;
};

/** Per class, over the whole batch: intersection sum p y and denominator. */
function sums(p: Dense, labels: ArrayLike<number>, squared: boolean, ignore: number, weights?: ArrayLike<number>) {
  const [voxels, classes] = rowsOf(p);
  const intersection = new Float64Array(classes);
  const denominator = new Float64Array(classes);
  for (let v = 0; v < voxels; v++) {
    if (labels[v] === ignore) continue;
    const weight = weightOf(weights, v, voxels);
    for (let c = 0; c < classes; c++) {
      const q = p.data[v * classes + c];
      const y = labels[v] === c ? 1 : 0;
      intersection[c] += weight * q * y;
      denominator[c] += weight * ((squared ? q * q : q) + y);
    }
  }
  return { intersection, denominator };
}

/** 1 - mean over classes of (2 I + eps) / (D + eps), p = softmax(logits), I = sum p y, D the denominator. */
export function softDice(
  logits: Dense,
  labels: ArrayLike<number>,
  { squared = true, background = true, epsilon = 1e-5, ignore = -1, weights }: SoftDiceOptions = {},
): number {
  const { intersection, denominator } = sums(softmax(logits), labels, squared, ignore, weights);
  const first = background ? 0 : 1;
  let dice = 0;
  for (let c = first; c < denominator.length; c++) dice += (2 * intersection[c] + epsilon) / (denominator[c] + epsilon);
  return 1 - dice / (denominator.length - first);
}

/** With m classes in the mean: dp = -(2 y (D + eps) - (2 I + eps) D') / (m (D + eps)^2), D' = 2 p or 1, times the voxel's weight; then through softmax. */
export function softDiceGrad(
  logits: Dense,
  labels: ArrayLike<number>,
  { squared = true, background = true, epsilon = 1e-5, ignore = -1, weights }: SoftDiceOptions = {},
): Dense {
  const p = softmax(logits);
  const [voxels, classes] = rowsOf(p);
  const { intersection, denominator } = sums(p, labels, squared, ignore, weights);
  const first = background ? 0 : 1;
  const dp = zeros(p.shape);
  for (let v = 0; v < voxels; v++) {
    if (labels[v] === ignore) continue;
    for (let c = first; c < classes; c++) {
      const y = labels[v] === c ? 1 : 0;
      const slope = squared ? 2 * p.data[v * classes + c] : 1;
      const d = denominator[c] + epsilon;
      const along = (2 * y * d - (2 * intersection[c] + epsilon) * slope) / (d * d);
      dp.data[v * classes + c] = (-weightOf(weights, v, voxels) * along) / (classes - first);
    }
  }
  return softmaxGrad(p, dp);
}
