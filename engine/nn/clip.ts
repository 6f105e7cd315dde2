import { GRAD_NORM_CHUNK, GRAD_NORM_LANES, gradNormKernel } from '../../shaders/grad_norm.wgsl.ts';
import { concat } from '../ops/concat.ts';
import type { Recording } from '../recording.ts';
import { ceilDiv } from '../shape.ts';
import { type Tensor, vec4s } from '../tensor.ts';
import { gradientOf } from './optimiser.ts';
import type { Parameters } from './parameters.ts';

/** Workgroups that fill a GPU. */
const WORKGROUPS = 1024;
/** vec4 that are worth a workgroup: 16 a lane. */
const WORKGROUP_VEC4S = 16 * GRAD_NORM_LANES;

/**
 * Euclidean norm over all gradients of all the given parameters together, on the device: shape [1]. The total_norm of
 * torch.nn.utils.clip_grad_norm_.
 */
export function gradientNorm(rec: Recording, ...sets: readonly Parameters[]): Tensor {
  return normOf(rec, sets);
}

/**
 * That norm, and the factor with which no norm is above `maxNorm`, min(1, maxNorm / (norm + 1e-6)), or 1 with maxNorm 0: [2], for
 * the steps of the optimisers. torch.nn.utils.clip_grad_norm_.
 */
export function gradientClip(rec: Recording, sets: readonly Parameters[], maxNorm: number): Tensor {
  return normOf(rec, sets, maxNorm);
}

function normOf(rec: Recording, sets: readonly Parameters[], maxNorm?: number): Tensor {
  const gradients = sets.map((parameters) => gradientOf(parameters, 'gradientNorm'));
  if (gradients.length === 1) return euclidean(rec, gradients[0], maxNorm);
  const norms = gradients.map((gradient) => euclidean(rec, gradient));
  return euclidean(rec, concat(rec, norms), maxNorm);
}

/** On GPUs in two launches at most, as one workgroup takes the sums of all the first has; in one where it can take all values. */
function euclidean(rec: Recording, values: Tensor, maxNorm?: number): Tensor {
  const trees = !rec.device.software;
  let x = values;
  for (let first = true; ; first = false) {
    const count = vec4s(x);
    const partials = trees ? Math.min(WORKGROUPS, ceilDiv(count, WORKGROUP_VEC4S)) : ceilDiv(count, GRAD_NORM_CHUNK);
    const last = partials === 1;
    const clip = last && maxNorm !== undefined;
    const y = rec.tensor([clip ? 2 : last ? 1 : partials * 4], 'gradient norm');
    const params = { count, partials, ...(clip && { max_norm: maxNorm }) };
    rec.dispatch(gradNormKernel({ first, last, clip, trees }), { x, y }, params, trees ? [partials, 1, 1] : partials);
    if (last) return y;
    x = y;
  }
}
