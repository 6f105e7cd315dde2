import type { Recording } from '../recording.ts';
import type { Tensor } from '../tensor.ts';
import { gradientNorm } from './clip.ts';
import type { Optimiser } from './optimiser.ts';
import type { Parameters } from './parameters.ts';

/** A set of parameters and what updates it. */
export interface Learner {
  readonly parameters: Parameters;
  readonly optimiser: Optimiser;
}

/**
 * Appends the gradients of `loss`, their clipping and the updates. The norm is over all sets together, before clipping, [1];
 * gradients are scaled down where it is above `clip`, never with 0.
 */
export function learn(rec: Recording, loss: Tensor, learners: readonly Learner[], clip: number): Tensor {
  const sets = learners.map(({ parameters }) => parameters);
  rec.backward(loss, { leaves: sets.flatMap((parameters) => parameters.leaves()) });
  const norm = gradientNorm(rec, ...sets);
  for (const { optimiser } of learners) optimiser.step(rec, clip > 0 ? { norm, maxNorm: clip } : undefined);
  return norm;
}
