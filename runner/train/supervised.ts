import { createOptimiser, OPTIMISER_SCALARS, optimiserScalars } from '../../engine/nn/create_optimiser.ts';
import { createLearning, learn } from '../../engine/nn/learn.ts';
import { Parameters } from '../../engine/nn/parameters.ts';
import { parametersState } from '../../engine/nn/state.ts';
import { unetFlops } from '../../engine/nn/unet3d_flops.ts';
import { diceCrossEntropy } from '../../engine/ops/soft_dice.ts';
import { StepScalars } from '../../engine/step_scalars.ts';
import { assembleTrainer } from './assemble.ts';
import { labelledBatch, runCounters, studentDropout } from './batches.ts';
import type { ConfigOf } from './config.ts';
import { networkOf, type StageInput } from './stage.ts';
import type { Trainer } from './trainer.ts';

/**
 * Supervised training: patches of the labelled cases, L = (cross-entropy + squared soft Dice) / 2, gradient clipping, SGD or
 * AdamW. One step is recorded once and replayed; the host uploads patches, step counters and the learning rate.
 */
export async function createSupervised(input: StageInput<ConfigOf<'supervised'>>): Promise<Trainer> {
  const { device, config, initialise, offset } = input;
  const { batch, patch, seed, optimiser: options } = config;
  const before = device.bytesHeld;
  const network = networkOf(input);
  const student = Parameters.create(device, network.specs, { seed, initialise });
  const scalars = StepScalars.create(device, OPTIMISER_SCALARS);
  const optimiser = createOptimiser(student, scalars, options);
  const learning = createLearning(device, network.settings, [{ name: 'network', parameters: student, optimiser }]);
  const parameterBytes = device.bytesHeld - before;

  const counters = runCounters(device, seed);
  const patches = labelledBatch(input, batch, counters);
  return assembleTrainer(device, before, {
    ...{ label: 'supervised step', network, student, offset, parameterBytes },
    state: [parametersState('student', student), ...learning.state],
    flops: unetFlops(network.settings, batch, patch).training,
    inputs: [counters, patches],
    setStep: (step) => scalars.set(optimiserScalars(step, { ...options, steps: config.steps })),
    record(rec) {
      const { image, labels } = patches.record(rec);
      const { logits } = network.forward(rec, student, image, studentDropout(counters));
      const { loss, ce, dice } = diceCrossEntropy(rec, logits, labels);
      return { loss, ce, dice, ...learn(rec, loss, learning, options.clip) };
    },
    owned: [learning, scalars, student],
  });
}
