import type { Device } from '../device.ts';
import type { Recording } from '../recording.ts';
import type { Tensor } from '../tensor.ts';
import { gradientClip, gradientNorm } from './clip.ts';
import { createLossScale, type LossScale, unscaledClips } from './loss_scale.ts';
import type { Optimiser } from './optimiser.ts';
import type { Parameters } from './parameters.ts';
import { optimiserState, type StatePart } from './state.ts';
import type { UnetSettings } from './unet3d_config.ts';

/** A set of parameters and what updates it. */
export interface Learner {
  readonly name: string;
  readonly parameters: Parameters;
  readonly optimiser: Optimiser;
}

/** Everything that one loss trains, and what that takes. */
export interface Learning {
  readonly learners: readonly Learner[];
  /** Where the network's products may be of float16. */
  readonly lossScale?: LossScale;
  /** optimiser.NAME.* of every learner, and loss_scale where there is one; what an exact resume needs. */
  readonly state: readonly StatePart[];
  /** Frees optimisers and loss scale; the parameters were given. */
  destroy(): void;
}

export function createLearning(
  device: Device,
  { products }: Pick<UnetSettings, 'products'>,
  learners: readonly Learner[],
): Learning {
  const lossScale = products === 'f16' ? createLossScale(device) : undefined;
  const optimisers = learners.map(({ optimiser }) => optimiser);
  const memory = learners.flatMap(({ name, parameters, optimiser }) => optimiserState(name, parameters, optimiser));
  return {
    ...{ learners, lossScale, state: lossScale ? [...memory, lossScale] : memory },
    destroy() {
      for (const part of lossScale ? [...optimisers, lossScale] : optimisers) part.destroy();
    },
  };
}

/** What a step reports for the log, [1] each: losses, cosines, shares, the gradient norm. */
export type StepLog = Readonly<Record<string, Tensor>>;

/** What there is to report of an update, [1] each. */
export type Learned = { readonly norm: Tensor } & StepLog;

/**
 * Appends the gradients of `loss`, their clipping and the updates. `norm` is over all learners together, before clipping; gradients
 * are scaled down where it is above `clip`, never with 0. With a loss scale see unscaledClips for `norm` in a step that is skipped;
 * `loss_scale`, after the step, and `skipped`, steps so far, are reported beside it.
 */
export function learn(rec: Recording, loss: Tensor, learning: Learning, clip: number): Learned {
  const { norms, scaling } = update(rec, loss, learning, [learning.learners], clip);
  return { norm: norms[0], ...scaling };
}

/**
 * The same with a norm for each learner, which clips that one alone. One overflow skips the step of all: their gradients come from
 * one loss, and have one scale.
 */
export function learnApart(rec: Recording, loss: Tensor, learning: Learning, clip: number): Updated {
  const each = learning.learners.map((learner) => [learner]);
  return update(rec, loss, learning, each, clip);
}

interface Updated {
  readonly norms: readonly Tensor[];
  readonly scaling: StepLog;
}

/** Learners of one group are clipped by one norm. */
function update(
  rec: Recording,
  loss: Tensor,
  { lossScale }: Learning,
  groups: readonly (readonly Learner[])[],
  clip: number,
): Updated {
  const sets = groups.map((learners) => learners.map(({ parameters }) => parameters));
  const leaves = sets.flat().flatMap((parameters) => parameters.leaves());
  rec.backward(loss, { leaves, seed: lossScale?.scale });
  const norms = () => sets.map((set) => gradientNorm(rec, ...set));
  const clips = lossScale
    ? unscaledClips(rec, lossScale, norms(), clip)
    : sets.map((set) => gradientClip(rec, set, clip));
  groups.forEach((learners, i) => {
    for (const { optimiser } of learners) optimiser.step(rec, clips[i]);
  });
  const first = (t: Tensor): Tensor => ({ ...t, shape: [1] });
  return {
    norms: clips.map(first),
    scaling: lossScale ? { loss_scale: lossScale.scale, skipped: first(lossScale.steps) } : {},
  };
}
