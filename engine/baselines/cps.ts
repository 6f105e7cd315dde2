import type { Device } from '../device.ts';
import { createOptimiser, OPTIMISER_SCALARS, type OptimiserScalar, optimiserScalars } from '../nn/create_optimiser.ts';
import { createLearning, type Learning, learnApart, type StepLog } from '../nn/learn.ts';
import { Parameters } from '../nn/parameters.ts';
import { sigmoidRamp } from '../nn/schedule.ts';
import { parametersState, type StatePart } from '../nn/state.ts';
import type { Unet3d, UnetMode } from '../nn/unet3d.ts';
import { argmax } from '../ops/argmax.ts';
import { crossEntropy } from '../ops/cross_entropy.ts';
import { add, scaleBy } from '../ops/elementwise.ts';
import { diceCrossEntropy } from '../ops/soft_dice.ts';
import type { Recording } from '../recording.ts';
import { StepScalars } from '../step_scalars.ts';
import { checkCps } from './check.ts';
import type { CpsOptions } from './options.ts';
import { type BaselineBatch, jointPass, laterPass } from './step.ts';

export type CpsScalar = OptimiserScalar | 'cross';

/** Two networks that label the unlabelled patches for each other. */
export interface Cps {
  readonly unet: Unet3d;
  readonly options: CpsOptions;
  /** The first network, which predicts. */
  readonly student: Parameters;
  readonly second: Parameters;
  /** Of the student, of the second network. */
  readonly learning: Learning;
  readonly scalars: StepScalars<CpsScalar>;
  /** Uploads what step 0, 1, ... needs. */
  setStep(step: number): void;
  /** Everything an exact resume needs beside the step: student, second, optimiser.network.*, optimiser.second.*, loss_scale where there is one. */
  readonly state: readonly StatePart[];
  /** Frees all but the student's network, which was given. */
  destroy(): void;
}

/** Dropout streams that recordCps takes, from that of its mode on. */
export const CPS_DROPOUT_STREAMS = 2;

/** Sets the second network's first weights apart from those of any run's student. */
const SECOND_NETWORK = 0x5ec0d000;

/**
 * Errors: UsageError for options that it cannot run with.
 *
 * @param network the first one's, initialised with `seed`
 * @param seed the second one's first weights are drawn from another that it gives
 */
export function createCps(device: Device, unet: Unet3d, network: Parameters, options: CpsOptions, seed: number): Cps {
  checkCps(options);
  const second = Parameters.create(device, unet.specs, { seed: (seed ^ SECOND_NETWORK) >>> 0 });
  const scalars = StepScalars.create<CpsScalar>(device, [...OPTIMISER_SCALARS, 'cross']);
  const learner = (name: string, parameters: Parameters) => ({
    ...{ name, parameters },
    optimiser: createOptimiser(parameters, scalars, { ...options, name: options.optimiser }),
  });
  const learning = createLearning(device, unet.settings, [learner('network', network), learner('second', second)]);
  return {
    ...{ unet, options, student: network, second, learning, scalars },
    setStep: (step) =>
      scalars.set({
        ...optimiserScalars(step, options),
        cross: options.weight * sigmoidRamp(step, options.ramp * options.steps),
      }),
    state: [parametersState('student', network), parametersState('second', second), ...learning.state],
    destroy() {
      learning.destroy();
      scalars.destroy();
      second.destroy();
    },
  };
}

/**
 * A step of cross pseudo supervision (Chen et al. 2021; method.md 10): L_sup of both networks + w(t) (CE(z1, argmax z2) +
 * CE(z2, argmax z1)), hard labels without gradient. Each network's gradient is clipped by its own norm, as two optimisers do.
 * `supervised`, `ce`, `dice` and `norm` in the log are the student's, `cross` the sum of both terms.
 *
 * @param mode of the student's pass: where dropout draws from; the second network's takes the next stream
 */
export function recordCps(rec: Recording, method: Cps, batch: BaselineBatch, mode: UnetMode = {}): StepLog {
  const { unet, student, second, learning, scalars, options } = method;
  const z1 = jointPass(rec, unet, student, batch, mode);
  const z2 = jointPass(rec, unet, second, batch, laterPass(mode, 1));
  const [first, other] = [z1, z2].map(({ labelled }) => diceCrossEntropy(rec, labelled, batch.labels));
  const cross = add(
    rec,
    crossEntropy(rec, z1.unlabelled, argmax(rec, z2.unlabelled).labels),
    crossEntropy(rec, z2.unlabelled, argmax(rec, z1.unlabelled).labels),
  );
  const supervised = add(rec, first.loss, other.loss);
  const loss = add(rec, supervised, scaleBy(rec, cross, scalars.tensor, scalars.index('cross')));
  const { norms, scaling } = learnApart(rec, loss, learning, options.clip);
  return {
    ...{ loss, supervised: first.loss, ce: first.ce, dice: first.dice, supervised_second: other.loss, cross },
    ...{ norm: norms[0], norm_second: norms[1], ...scaling },
  };
}
