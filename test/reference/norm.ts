import { type Dense, dense, zeros } from './dense.ts';

/** `mean` and `variance` (biased) are those of each statistics set: [N,C] for instance, [N,G] for group, [C] for batch norm. */
export type Normalized = { y: Dense; mean: Dense; variance: Dense };
export type NormGradient = { dx: Dense; dgamma: Dense; dbeta: Dense };

/** Which values share a mean and a variance: `of(i)` is the set of element i, `shape` the shape of one number a set. */
type Sets = { shape: number[]; of: (i: number) => number };

/** Instance norm: one set for each sample and channel. */
const instanceSets = (x: Dense): Sets => groupSets(x, x.shape[x.shape.length - 1]);

function groupSets(x: Dense, groups: number): Sets {
  const channels = x.shape[x.shape.length - 1];
  const sample = x.data.length / x.shape[0];
  const of = (i: number) => Math.floor(i / sample) * groups + Math.floor((i % channels) / (channels / groups));
  return { shape: [x.shape[0], groups], of };
}

const batchSets = (x: Dense): Sets => {
  const channels = x.shape[x.shape.length - 1];
  return { shape: [channels], of: (i) => i % channels };
};

function statistics(x: Dense, sets: Sets) {
  const mean = zeros(sets.shape);
  const variance = zeros(sets.shape);
  const size = x.data.length / mean.data.length;
  for (let i = 0; i < x.data.length; i++) mean.data[sets.of(i)] += x.data[i] / size;
  for (let i = 0; i < x.data.length; i++) variance.data[sets.of(i)] += (x.data[i] - mean.data[sets.of(i)]) ** 2 / size;
  return { mean, variance };
}

/** y = gamma (x - mean) / sqrt(variance + eps) + beta. */
function apply(x: Dense, gamma: Dense, beta: Dense, mean: Dense, variance: Dense, eps: number, sets: Sets): Dense {
  const channels = gamma.data.length;
  const y = zeros(x.shape);
  for (let i = 0; i < x.data.length; i++) {
    const s = sets.of(i);
    const normal = (x.data[i] - mean.data[s]) / Math.sqrt(variance.data[s] + eps);
    y.data[i] = normal * gamma.data[i % channels] + beta.data[i % channels];
  }
  return y;
}

function normalize(x: Dense, gamma: Dense, beta: Dense, eps: number, sets: Sets): Normalized {
  const { mean, variance } = statistics(x, sets);
  return { y: apply(x, gamma, beta, mean, variance, eps, sets), mean, variance };
}

/**
 * With n = (x - mean) rstd and g = dy gamma, means over the set:  dx = rstd (g - mean(g) - n mean(g n)),
 * dgamma = sum of dy n, dbeta = sum of dy over everything of the channel.
 */
function normalizeGrad(x: Dense, gamma: Dense, dy: Dense, eps: number, sets: Sets): NormGradient {
  const channels = gamma.data.length;
  const { mean, variance } = statistics(x, sets);
  const size = x.data.length / mean.data.length;
  const normal = apply(x, dense([channels], new Array(channels).fill(1)), zeros([channels]), mean, variance, eps, sets);
  const [dx, dgamma, dbeta] = [zeros(x.shape), zeros([channels]), zeros([channels])];
  const [meanG, meanGN] = [zeros(sets.shape), zeros(sets.shape)];
  for (let i = 0; i < x.data.length; i++) {
    const c = i % channels;
    dgamma.data[c] += dy.data[i] * normal.data[i];
    dbeta.data[c] += dy.data[i];
    meanG.data[sets.of(i)] += (dy.data[i] * gamma.data[c]) / size;
    meanGN.data[sets.of(i)] += (dy.data[i] * gamma.data[c] * normal.data[i]) / size;
  }
  for (let i = 0; i < x.data.length; i++) {
    const s = sets.of(i);
    const g = dy.data[i] * gamma.data[i % channels];
    dx.data[i] = (g - meanG.data[s] - normal.data[i] * meanGN.data[s]) / Math.sqrt(variance.data[s] + eps);
  }
  return { dx, dgamma, dbeta };
}

/** torch.nn.functional.instance_norm: statistics over the voxels of each sample and channel. gamma, beta: [C]. */
export const instanceNorm = (x: Dense, gamma: Dense, beta: Dense, eps = 1e-5): Normalized =>
  normalize(x, gamma, beta, eps, instanceSets(x));

export const instanceNormGrad = (x: Dense, gamma: Dense, dy: Dense, eps = 1e-5): NormGradient =>
  normalizeGrad(x, gamma, dy, eps, instanceSets(x));

/** torch.nn.functional.group_norm: statistics over the voxels and the C / groups channels of each group of a sample. */
export const groupNorm = (x: Dense, gamma: Dense, beta: Dense, groups: number, eps = 1e-5): Normalized =>
  normalize(x, gamma, beta, eps, groupSets(x, groups));

export const groupNormGrad = (x: Dense, gamma: Dense, dy: Dense, groups: number, eps = 1e-5): NormGradient =>
  normalizeGrad(x, gamma, dy, eps, groupSets(x, groups));

/** torch.nn.functional.batch_norm in training: statistics over samples and voxels of each channel. */
export const batchNorm = (x: Dense, gamma: Dense, beta: Dense, eps = 1e-5): Normalized =>
  normalize(x, gamma, beta, eps, batchSets(x));

export const batchNormGrad = (x: Dense, gamma: Dense, dy: Dense, eps = 1e-5): NormGradient =>
  normalizeGrad(x, gamma, dy, eps, batchSets(x));

/** running <- (1 - momentum) running + momentum batch; the variance enters unbiased (n / (n - 1)), n values a channel. */
export function batchNormRunning(
  running: { mean: Dense; variance: Dense },
  batch: { mean: Dense; variance: Dense },
  n: number,
  momentum = 0.1,
): { mean: Dense; variance: Dense } {
  const blend = (old: Dense, now: Dense, factor: number) =>
    dense(
      old.shape,
      old.data.map((v, c) => (1 - momentum) * v + momentum * factor * now.data[c]),
    );
  return { mean: blend(running.mean, batch.mean, 1), variance: blend(running.variance, batch.variance, n / (n - 1)) };
}

/** Batch norm with the running statistics (eval mode). */
export const batchNormEval = (x: Dense, gamma: Dense, beta: Dense, mean: Dense, variance: Dense, eps = 1e-5): Dense =>
  apply(x, gamma, beta, mean, variance, eps, batchSets(x));

/** In eval mode the statistics are constants: dx = dy gamma / sqrt(variance + eps). */
export function batchNormEvalGrad(
  x: Dense,
  gamma: Dense,
  dy: Dense,
  mean: Dense,
  variance: Dense,
  eps = 1e-5,
): NormGradient {
  const channels = gamma.data.length;
  const [dx, dgamma, dbeta] = [zeros(x.shape), zeros([channels]), zeros([channels])];
  for (let i = 0; i < x.data.length; i++) {
    const c = i % channels;
    const rstd = 1 / Math.sqrt(variance.data[c] + eps);
    dx.data[i] = dy.data[i] * gamma.data[c] * rstd;
    dgamma.data[c] += dy.data[i] * (x.data[i] - mean.data[c]) * rstd;
    dbeta.data[c] += dy.data[i];
  }
  return { dx, dgamma, dbeta };
}
