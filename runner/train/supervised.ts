import type { Device } from '../../engine/device.ts';
import { adamw, adamwScalars } from '../../engine/nn/adamw.ts';
import { gradientNorm } from '../../engine/nn/clip.ts';
import type { Optimiser } from '../../engine/nn/optimiser.ts';
import { Parameters } from '../../engine/nn/parameters.ts';
import { polyRate } from '../../engine/nn/schedule.ts';
import { sgd } from '../../engine/nn/sgd.ts';
import { optimiserState, parametersState } from '../../engine/nn/state.ts';
import { unet3d } from '../../engine/nn/unet3d.ts';
import { unetFlops } from '../../engine/nn/unet3d_flops.ts';
import { intensity } from '../../engine/ops/intensity.ts';
import { diceCrossEntropy } from '../../engine/ops/soft_dice.ts';
import { warp } from '../../engine/ops/warp.ts';
import { Program } from '../../engine/program.ts';
import { ReadbackRing } from '../../engine/readback.ts';
import { Recording } from '../../engine/recording.ts';
import { createStepCounters } from '../../engine/step_counters.ts';
import { StepScalars } from '../../engine/step_scalars.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { IntensityStream } from '../data/augment_intensity.ts';
import { HOST_STREAMS, NOISE_STREAMS } from '../data/augment_streams.ts';
import { PatchStream } from '../data/patches.ts';
import type { Prepared } from '../data/preprocess.ts';
import type { TrainConfig } from './config.ts';
import type { Trainer } from './trainer.ts';

/** What every method makes of the configuration's `network` for a data set. */
export function networkOf(config: TrainConfig, inChannels: number, classes: number) {
  const { kernels, strides, ...network } = config.network;
  return unet3d({ ...network, ...(kernels && { kernels }), ...(strides && { strides }), inChannels, classes });
}

/**
 * Supervised training: patches of the labelled cases, L = (cross-entropy + squared soft Dice) / 2, gradient clipping, SGD or
 * AdamW. One step is recorded once and replayed; the host uploads patches, step counters and the learning rate. With
 * `initialise` false all weights are zero.
 */
export async function createSupervised(
  device: Device,
  config: TrainConfig,
  cases: readonly Prepared[],
  classes: number,
  { initialise = true }: { initialise?: boolean } = {},
): Promise<Trainer> {
  const { batch, patch, seed, augmentation, optimiser: options } = config;
  const before = device.bytesHeld;
  const network = networkOf(config, cases[0].channels, classes);
  const student = Parameters.create(device, network.specs, { seed, initialise });
  const scalars = StepScalars.create(device, ['learning_rate', 'adam_correction1', 'adam_correction2']);
  const optimiser: Optimiser =
    options.name === 'sgd' ? sgd(student, scalars, options) : adamw(student, scalars, options);
  const parameterBytes = device.bytesHeld - before;

  const patches = new PatchStream(device, cases, {
    ...{ patch, batch, seed, augmentation, stream: HOST_STREAMS.labelledPatches },
    ...{ labelled: true, foregroundProbability: augmentation.foreground },
  });
  const counters = createStepCounters(device, seed);
  const jitter = new IntensityStream(device, {
    ...{ batch, seed, stream: HOST_STREAMS.labelledIntensity, strength: augmentation.intensity },
  });
  const inputBytes = device.bytesHeld - before - parameterBytes;

  const rec = new Recording(device, 'supervised step');
  const { image, labels } = warp(rec, patches.source, patches.geometry);
  const view =
    augmentation.intensity > 0
      ? intensity(rec, image, jitter.params, counters.tensor, { stream: NOISE_STREAMS.labelled, blur: jitter.blur })
      : image;
  const { logits } = network.forward(rec, student, view, {
    dropout: { counters: counters.tensor, stream: NOISE_STREAMS.labelled + 1 },
  });
  const { loss, ce, dice } = diceCrossEntropy(rec, logits, labels as Tensor);
  rec.backward(loss, { leaves: student.leaves() });
  const norm = gradientNorm(rec, student);
  optimiser.step(rec, options.clip > 0 ? { norm, maxNorm: options.clip } : undefined);
  for (const t of [loss, ce, dice, norm]) rec.keep(t);
  const program = await Program.create(rec);
  const beforeRing = device.bytesHeld;
  const ring = new ReadbackRing(program, { loss, ce, dice, norm });
  const memory = {
    parameters: parameterBytes,
    inputs: inputBytes,
    step: program.plan.totalBytes,
    readback: device.bytesHeld - beforeRing,
    total: device.bytesHeld - before,
  };

  return {
    network,
    student,
    memory,
    commands: rec.commands.length,
    flops: unetFlops(network.settings, batch, patch).training,
    depth: 2,
    step(step) {
      patches.upload(step);
      jitter.upload(step);
      counters.setStep(step);
      const rate = { learning_rate: polyRate(step, { ...options, steps: config.steps }) };
      scalars.set(options.name === 'adamw' ? { ...rate, ...adamwScalars(step + 1, {}) } : rate);
      return ring.run();
    },
    state: [parametersState('student', student), ...optimiserState('network', student, optimiser)],
    destroy() {
      ring.destroy();
      program.destroy();
      patches.destroy();
      jitter.destroy();
      device.destroyTensor(counters.tensor);
      optimiser.destroy();
      scalars.destroy();
      student.destroy();
    },
  };
}
