import { GRAD_NORM_CHUNK, GRAD_NORM_LANES, gradNormKernel } from '../../shaders/grad_norm.wgsl.ts';
import type { Recording } from '../recording.ts';
import { ceilDiv, roundUp } from '../shape.ts';
import { type Tensor, vec4s } from '../tensor.ts';
import { gradientOf } from './optimiser.ts';
import type { Parameters } from './parameters.ts';

/** Workgroups that fill a GPU. */
const WORKGROUPS = 1024;
/** vec4 from one view of a tensor to the next: the 256 bytes that bindings begin at. */
const VIEW_ALIGNMENT = 16;
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

/**
 * A launch a set, then, as on GPUs one workgroup takes the partial sums of all, one more; a single one where that can take all
 * values.
 */
function normOf(rec: Recording, sets: readonly Parameters[], maxNorm?: number): Tensor {
  const trees = !rec.device.software;
  let level = sets.map((parameters) => gradientOf(parameters, 'gradientNorm'));
  for (let first = true; ; first = false) {
    const sums = level.map((x, i) => partialSums(vec4s(x), trees, i === level.length - 1));
    const last = level.length === 1 && sums[0] === 1;
    const clip = last && maxNorm !== undefined;
    const total = sums.reduce((a, b) => a + b);
    const y = rec.tensor([clip ? 2 : last ? 1 : total * 4], 'gradient norm');
    const kernel = gradNormKernel({ first, last, clip, trees });
    let offset = y.offset;
    for (const [i, x] of level.entries()) {
      const partials = sums[i];
      const part = last ? y : { ...y, shape: [partials * 4], pitch: partials * 4, offset };
      const params = { count: vec4s(x), partials, ...(clip && { max_norm: maxNorm }) };
      rec.dispatch(kernel, { x, y: part }, params, trees ? [partials, 1, 1] : partials);
      offset += partials * 16;
    }
    if (last) return y;
    level = [y];
  }
}

/** Partial sums of so many vec4; as many where others follow that theirs begin where a binding may. */
function partialSums(count: number, trees: boolean, last: boolean): number {
  const partials = trees ? Math.min(WORKGROUPS, ceilDiv(count, WORKGROUP_VEC4S)) : ceilDiv(count, GRAD_NORM_CHUNK);
  return last ? partials : roundUp(partials, VIEW_ALIGNMENT);
}
