import { gaussianNoiseKernel } from '../../shaders/gaussian_noise.wgsl.ts';
import type { Recording } from '../recording.ts';
import { channels, type Tensor, vec4s } from '../tensor.ts';

export interface GaussianNoiseOptions {
  /** Dense u32 [seed, step] (createStepCounters). */
  counters: Tensor;
  /** A number no other random op of the step uses. */
  stream: number;
  /** Standard deviation. */
  sd: number;
  /** Largest magnitude of what is added. */
  limit: number;
}

/**
 * y = x + clip(sd N(0, 1), -limit, limit) element by element, drawn anew at every replay: the perturbation of Mean Teacher's
 * and UA-MT's inputs (method.md 10). Any channel tensor. The gradient is dy.
 */
export function gaussianNoise(
  rec: Recording,
  x: Tensor,
  { counters, stream, sd, limit }: GaussianNoiseOptions,
): Tensor {
  const count = vec4s(x);
  const y = rec.like(x, 'gaussian_noise');
  const params = { count, pitch: x.pitch / 4, channels: channels(x), stream, sd, limit };
  rec.dispatch(gaussianNoiseKernel(), { x, counters, y }, params, count);
  return rec.node('gaussian_noise', [x], y, (dy, gradients) => gradients.pass(0, dy));
}
