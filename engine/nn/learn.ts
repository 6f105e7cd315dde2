import type { Recording } from '../recording.ts';
import type { Tensor } from '../tensor.ts';
import { gradientClip, gradientNorm } from './clip.ts';
import { type LossScale, unscaledClips } from './loss_scale.ts';
import type { Optimiser } from './optimiser.ts';
import type { Parameters } from './parameters.ts';

/** A set of parameters and what updates it. */
export interface Learner {
  readonly parameters: Parameters;
  readonly optimiser: Optimiser;
}

/** What there is to report of an update, [1] each. */
export type Learned = { readonly norm: Tensor } & Readonly<Record<string, Tensor>>;

/**
 * Appends the gradients of `loss`, their clipping and the updates. `norm` is over all sets together, before clipping; gradients are
 * scaled down where it is above `clip`, never with 0. With a loss scale see unscaledClips for `norm` in a step that is skipped;
 * `loss_scale`, after the step, and `skipped`, steps so far, are reported beside it.
 */
export function learn(
  rec: Recording,
  loss: Tensor,
  learners: readonly Learner[],
  clip: number,
  lossScale?: LossScale,
): Learned {
  const { norms, scaling } = learnApart(rec, loss, [learners], clip, lossScale);
  return { norm: norms[0], ...scaling };
}

/**
 * The same with a norm for each group of sets, which clips that group alone. One overflow skips the step of all: their gradients
 * come from one loss, and have one scale.
 */
export function learnApart(
  rec: Recording,
  loss: Tensor,
  groups: readonly (readonly Learner[])[],
  clip: number,
  lossScale?: LossScale,
): { readonly norms: readonly Tensor[]; readonly scaling: Readonly<Record<string, Tensor>> } {
  const sets = groups.map((learners) => learners.map(({ parameters }) => parameters));
  const leaves = sets.flat().flatMap((parameters) => parameters.leaves());
  rec.backward(loss, { leaves, seed: lossScale?.scale });
  const clips = lossScale
    ? unscaledClips(
        rec,
        lossScale,
        sets.map((set) => gradientNorm(rec, ...set)),
        clip,
      )
    : sets.map((set) => gradientClip(rec, set, clip));
  groups.forEach((learners, i) => {
    for (const { optimiser } of learners) optimiser.step(rec, clips[i]);
  });
  const first = (t: Tensor): Tensor => ({ ...t, shape: [1] });
  const scaling = lossScale ? { loss_scale: lossScale.scale, skipped: first(lossScale.steps) } : undefined;
  return { norms: clips.map(first), scaling: scaling ?? {} };
}
