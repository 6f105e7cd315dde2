import { normConstantKernel, normRunningKernel } from '../../shaders/norm_running.wgsl.ts';
import { ShapeError } from '../errors.ts';
import type { Recording } from '../recording.ts';
import { channels, type Tensor } from '../tensor.ts';
import { extents } from './norm_extents.ts';
import {
  assertPerChannel,
  type FusedActivation,
  finalised,
  momentsOf,
  normalised,
  statisticsOf,
} from './norm_passes.ts';

export type { FusedActivation };

export interface NormOptions {
  /** Added to the variance; default 1e-5. */
  eps?: number;
  activation?: FusedActivation;
}

/** Statistics of batch norm over all batches so far, [C] each, in persistent tensors. */
export interface RunningStatistics {
  mean: Tensor;
  variance: Tensor;
}

export interface BatchNormOptions extends NormOptions {
  /** true: normalise by the batch and update `running`; false: normalise by `running`. */
  training: boolean;
  /** Weight of this batch in the running statistics; default 0.1. */
  momentum?: number;
}

/**
 * y = gamma (x - mean) / sqrt(variance + eps) + beta, mean and biased variance over the voxels of each sample and
 * channel. torch.nn.functional.instance_norm.
 *
 * @param x [N, ..., C]
 * @param gamma [C], optional; likewise beta
 */
export function instanceNorm(
  rec: Recording,
  x: Tensor,
  gamma?: Tensor,
  beta?: Tensor,
  options: NormOptions = {},
): Tensor {
  const e = extents(rec.device, x, x.shape[0], 1);
  const stats = statisticsOf(rec, 'instance_norm', x, e, options.eps);
  return normalised(rec, 'instance_norm', x, e, stats, { ...options, gamma, beta });
}

/**
 * Statistics over the voxels and the C / groups channels of each group of a sample (Wu and He 2018, "Group
 * Normalization"). torch.nn.functional.group_norm. Errors: ShapeError when C is not a multiple of `groups`.
 *
 * @param x [N, ..., C]
 */
export function groupNorm(
  rec: Recording,
  x: Tensor,
  groups: number,
  gamma?: Tensor,
  beta?: Tensor,
  options: NormOptions = {},
): Tensor {
  const size = channels(x) / groups;
  if (!Number.isInteger(size) || size < 1) {
    throw new ShapeError(
      `group_norm: '${x.label}' has ${channels(x)} channels, which ${groups} groups cannot share; use a divisor of ${channels(x)}`,
    );
  }
  const e = extents(rec.device, x, x.shape[0], size);
  const stats = statisticsOf(rec, 'group_norm', x, e, options.eps);
  return normalised(rec, 'group_norm', x, e, stats, { ...options, gamma, beta });
}

/**
 * Statistics over the samples and voxels of each channel (Ioffe and Szegedy 2015, "Batch Normalization"); the running
 * variance is the unbiased one. torch.nn.functional.batch_norm.
 *
 * @param x [..., C]
 * @param running [C] each; training writes them in place
 */
export function batchNorm(
  rec: Recording,
  x: Tensor,
  running: RunningStatistics,
  gamma: Tensor | undefined,
  beta: Tensor | undefined,
  options: BatchNormOptions,
): Tensor {
  const { training, momentum = 0.1, eps = 1e-5 } = options;
  const e = extents(rec.device, x, 1, 1);
  assertPerChannel('batch_norm', x, { 'running mean': running.mean, 'running variance': running.variance });
  if (training) {
    const moments = momentsOf(rec, 'batch_norm', x, e);
    rec.dispatch(normRunningKernel(), { moments, ...running }, { pitch: e.pitch, momentum }, e.pitch);
    const stats = finalised(rec, 'batch_norm', moments, e, eps);
    return normalised(rec, 'batch_norm', x, e, stats, { ...options, gamma, beta });
  }
  const stats = rec.tensor([2, e.channels], 'batch_norm.stats');
  const params = { pitch: 4 * e.pitch, channels: e.channels, eps };
  rec.dispatch(normConstantKernel(), { ...running, stats }, params, 4 * e.pitch);
  return normalised(rec, 'batch_norm', x, e, stats, { ...options, gamma, beta, constant: true });
}
