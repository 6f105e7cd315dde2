import { Device } from '../../engine/device.ts';
import { Parameters } from '../../engine/nn/parameters.ts';
import { sgd } from '../../engine/nn/sgd.ts';
import { unet3d } from '../../engine/nn/unet3d.ts';
import { diceCrossEntropy } from '../../engine/ops/soft_dice.ts';
import { Program } from '../../engine/program.ts';
import { Recording } from '../../engine/recording.ts';
import { StepScalars } from '../../engine/step_scalars.ts';
import { random } from '../../test/reference/dense.ts';
import type { SelfTestLine } from './doctor.ts';

const STEPS = 4;

/** A small U-Net learns one batch: its loss falls with every step, and a second run repeats the first to the bit. */
export async function trainingCheck(gpu: GPUDevice): Promise<SelfTestLine> {
  const first = await losses(gpu);
  const second = await losses(gpu);
  const falls = first.every((loss, i) => i === 0 || loss < first[i - 1]);
  const maxError = Math.max(...first.map((loss, i) => Math.abs(loss - second[i])));
  return { name: `${STEPS} training steps, twice`, maxError, ok: falls && maxError === 0 };
}

async function losses(gpu: GPUDevice): Promise<number[]> {
  const device = new Device(gpu);
  try {
    const network = unet3d({ inChannels: 1, classes: 2, channels: [4, 8], blocksPerLevel: 1 });
    const parameters = Parameters.create(device, network.specs, { seed: 1 });
    const scalars = StepScalars.create(device, ['learning_rate']);
    const noise = random([1, 6, 8, 8, 1], 1);
    const image = device.tensor(noise.shape, 'image', noise);
    const bright = noise.data.map((v) => Number(v > 0));
    const labels = device.tensor([1, 6, 8, 8], 'labels', { dtype: 'u32', dense: true, data: bright });

    const rec = new Recording(device, 'self-test step');
    const { loss } = diceCrossEntropy(rec, network.forward(rec, parameters, image).logits, labels);
    rec.backward(loss, { leaves: parameters.leaves() });
    sgd(parameters, scalars, { momentum: 0.9 }).step(rec);
    rec.keep(loss);
    const program = await Program.create(rec);
    scalars.set({ learning_rate: 0.05 });
    const found: number[] = [];
    for (let step = 0; step < STEPS; step++) {
      program.run();
      found.push((await program.read(loss))[0]);
    }
    return found;
  } finally {
    device.destroy();
  }
}
