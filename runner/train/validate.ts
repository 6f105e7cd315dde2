import type { Device } from '../../engine/device.ts';
import { inMemory, type PatchCase } from '../data/voxels.ts';
import { overlaps } from '../predict/metrics.ts';
import { slidingWindow } from '../predict/sliding_window.ts';
import type { TrainConfig } from './config.ts';
import type { Trainer } from './trainer.ts';

/** Dice of the student, mean over cases and foreground classes; a class absent from both prediction and label counts as 1. */
export async function validationDice(
  device: Device,
  { network, student }: Trainer,
  cases: readonly PatchCase[],
  { patch }: TrainConfig,
): Promise<number> {
  const classes = Array.from({ length: network.settings.classes - 1 }, (_, i) => i + 1);
  let sum = 0;
  for (const item of cases) {
    const { labels } = await slidingWindow(device, network, student, { ...item, data: inMemory(item.image) }, patch);
    const scores = overlaps(labels, item.label!, item.shape, classes);
    sum += scores.reduce((total, score) => total + score.Dice, 0) / scores.length;
  }
  return sum / cases.length;
}
