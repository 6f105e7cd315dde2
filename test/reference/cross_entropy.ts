import { type Dense, rowsOf, zeros } from './dense.ts';
import { logSoftmax } from './softmax.ts';

export type CrossEntropyOptions = {
  /** Voxels with this label take no part, in the sum or in the count. */
  ignore?: number;
  /** One factor a voxel, or one a sample (length N): multiplies the voxel's loss and leaves the count alone. */
  weights?: ArrayLike<number>;
};

/** The factor of a voxel; 1 where no weights are given. */
export const weightOf = (weights: ArrayLike<number> | undefined, voxel: number, voxels: number): number =>
  weights ? weights[Math.floor((voxel * weights.length) / voxels)] : 1;

/**
 * (1 / valid voxels) sum over valid voxels of weight * -log softmax(logits)[label]; 0 when none is valid.
 * Logits [..., C], one label a voxel. torch.nn.functional.cross_entropy(ignore_index) where no weights are given.
 */
export function crossEntropy(
  logits: Dense,
  labels: ArrayLike<number>,
  { ignore = -1, weights }: CrossEntropyOptions = {},
): number {
  const [voxels, classes] = rowsOf(logits);
  const logP = logSoftmax(logits);
  let sum = 0;
  let valid = 0;
  for (let v = 0; v < voxels; v++) {
    if (labels[v] === ignore) continue;
    sum -= weightOf(weights, v, voxels) * logP.data[v * classes + labels[v]];
    valid++;
  }
  return valid ? sum / valid : 0;
}

/** d loss / d logits = weight (p - onehot) / valid voxels, 0 at ignored voxels. */
export function crossEntropyGrad(
  logits: Dense,
  labels: ArrayLike<number>,
  { ignore = -1, weights }: CrossEntropyOptions = {},
): Dense {
  const [voxels, classes] = rowsOf(logits);
  const logP = logSoftmax(logits);
  const dx = zeros(logits.shape);
  let valid = 0;
  for (let v = 0; v < voxels; v++) if (labels[v] !== ignore) valid++;
  for (let v = 0; v < voxels; v++) {
    if (labels[v] === ignore) continue;
    for (let c = 0; c < classes; c++) {
      const hot = labels[v] === c ? 1 : 0;
      dx.data[v * classes + c] = (weightOf(weights, v, voxels) * (Math.exp(logP.data[v * classes + c]) - hot)) / valid;
    }
  }
  return dx;
}
