/** The smallest training step that has every part: two levels, both losses, clipping, momentum, a ring of results. */
import type { Device } from '../../engine/device.ts';
import { gradientClip } from '../../engine/nn/clip.ts';
import { Parameters } from '../../engine/nn/parameters.ts';
import { sgd } from '../../engine/nn/sgd.ts';
import { unet3d } from '../../engine/nn/unet3d.ts';
import { diceCrossEntropy } from '../../engine/ops/soft_dice.ts';
import { Program } from '../../engine/program.ts';
import { ReadbackRing } from '../../engine/readback.ts';
import { Recording } from '../../engine/recording.ts';
import { createStepCounters } from '../../engine/step_counters.ts';
import { StepScalars } from '../../engine/step_scalars.ts';
import { random } from '../reference/dense.ts';

const SIZE = [4, 4, 4] as const;

/** Memory is held by what is created here: `held` before the program, and the program's plan. */
export async function smallStep(device: Device, rate = 0.05) {
  const network = unet3d({ inChannels: 1, classes: 3, channels: [4, 6], blocksPerLevel: 1, dropout: 0.2 });
  const parameters = Parameters.create(device, network.specs, { seed: 3 });
  const scalars = StepScalars.create(device, ['learning_rate']);
  const counters = createStepCounters(device, 3);
  const optimiser = sgd(parameters, scalars, { momentum: 0.9, nesterov: true, weightDecay: 1e-4 });
  const image = device.tensor([2, ...SIZE, 1], 'image', { data: random([2, ...SIZE, 1], 1).data });
  const classes = random([2, ...SIZE], 2).data.map((v) => Math.floor(1.5 * (v + 1)));
  const labels = device.tensor([2, ...SIZE], 'labels', { dtype: 'u32', dense: true, data: classes });

  const recording = new Recording(device, 'small step');
  const dropout = { counters: counters.tensor, stream: 0 };
  const { logits } = network.forward(recording, parameters, image, { dropout });
  const { loss } = diceCrossEntropy(recording, logits, labels);
  recording.backward(loss, { leaves: parameters.leaves() });
  const norm = gradientClip(recording, [parameters], 1);
  optimiser.step(recording, norm);
  for (const t of [logits, loss, norm]) recording.keep(t);
  const held = device.bytesHeld;
  const plan = recording.plan();
  const program = await Program.create(recording);
  const ring = new ReadbackRing(program, { loss, norm });

  return {
    ...{ recording, plan, program, parameters, optimiser, image, logits, held },
    /** Uploads what changes, submits, and resolves to the results when the device has them. */
    step(i: number): Promise<{ loss: number; norm: number }> {
      counters.setStep(i);
      scalars.set({ learning_rate: rate });
      return ring.run();
    },
    destroy() {
      ring.destroy();
      program.destroy();
      for (const t of [image, labels, counters.tensor]) device.destroyTensor(t);
      for (const part of [optimiser, scalars, parameters]) part.destroy();
    },
  };
}
