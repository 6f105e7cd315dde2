/** Stages of every method on tiny synthetic cases, for tests of trainers without files. */
import type { Device } from '../../engine/device.ts';
import type { Triple } from '../../engine/shape.ts';
import { CLASSES, syntheticCase } from '../../runner/bench/synthetic.ts';
import { type Method, type Precision, type TrainConfig, trainConfig } from '../../runner/train/config.ts';
import { stagesOf } from '../../runner/train/methods.ts';
import type { Stage } from '../../runner/train/stage.ts';
import type { Trainer } from '../../runner/train/trainer.ts';

const TINY_ACTION = {
  global: { bins: [2, 2, 2], bankStart: 'gaussian' },
  local: { pool: 1, window: 4, stride: 4, bankStart: 'gaussian' },
};

interface Size {
  readonly channels: readonly number[];
  /** Default 8 x 16 x 16. */
  readonly patch?: Triple;
}

export function tinyConfig(method: Method, precision: Precision, { channels, patch = [8, 16, 16] }: Size): TrainConfig {
  const action = method === 'action' && { action: TINY_ACTION };
  return trainConfig({ method, precision, patch, batch: 2, steps: 1200, network: { channels }, ...action });
}

export const tinyStages = (method: Method, precision: Precision, size: Size): readonly Stage[] =>
  stagesOf(tinyConfig(method, precision, size));

/** Two labelled and two unlabelled cases. */
export function tinyTrainer(device: Device, stage: Stage): Promise<Trainer> {
  const cases = {
    labelled: [1, 2].map((seed) => syntheticCase([10, 20, 20], seed, true)),
    unlabelled: [3, 4].map((seed) => syntheticCase([10, 20, 20], seed, false)),
  };
  return stage.create({ ...cases, classes: CLASSES, offset: 0, device, initialise: true });
}

/** Losses of the first steps of a stage, and the bytes that a step holds. */
export async function firstSteps(device: Device, stage: Stage, count: number) {
  const trainer = await tinyTrainer(device, stage);
  try {
    const losses: number[] = [];
    for (let step = 0; step < count; step++) losses.push((await trainer.step(step)).loss);
    return { losses, bytes: trainer.memory.step };
  } finally {
    trainer.destroy();
  }
}
