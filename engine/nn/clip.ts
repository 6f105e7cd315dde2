import { GRAD_NORM_CHUNK, gradNormKernel } from '../../shaders/grad_norm.wgsl.ts';
import { concat } from '../ops/concat.ts';
import type { Recording } from '../recording.ts';
import { ceilDiv } from '../shape.ts';
import { type Tensor, vec4s } from '../tensor.ts';
import { gradientOf } from './optimiser.ts';
import type { Parameters } from './parameters.ts';

/**
 * Euclidean norm over all gradients of all the given parameters together, on the device: shape [1]. Hand it to the
 * optimisers' steps as Clip; the total_norm of torch.nn.utils.clip_grad_norm_.
 */
export function gradientNorm(rec: Recording, ...sets: readonly Parameters[]): Tensor {
  const norms = sets.map((parameters) => euclidean(rec, gradientOf(parameters, 'gradientNorm')));
  return norms.length === 1 ? norms[0] : euclidean(rec, concat(rec, norms));
}

function euclidean(rec: Recording, values: Tensor): Tensor {
  let x = values;
  for (let first = true; ; first = false) {
    const count = vec4s(x);
    const partials = ceilDiv(count, GRAD_NORM_CHUNK);
    const last = partials === 1;
    const y = rec.tensor([last ? 1 : partials * 4], 'gradient norm');
    rec.dispatch(gradNormKernel({ first, last }), { x, y }, { count, partials }, partials);
    if (last) return y;
    x = y;
  }
}
