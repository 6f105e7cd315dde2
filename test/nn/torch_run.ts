/** The U-Net and the training runs of test/fixtures/torch/unet.py, rebuilt on the engine. */
import * as assert from 'uvu/assert';
import type { Device } from '../../engine/device.ts';
import { type AdamWScalar, adamw, adamwScalars } from '../../engine/nn/adamw.ts';
import { gradientClip } from '../../engine/nn/clip.ts';
import { Parameters, type ParameterValues } from '../../engine/nn/parameters.ts';
import { polyRate } from '../../engine/nn/schedule.ts';
import { sgd } from '../../engine/nn/sgd.ts';
import { unet3d } from '../../engine/nn/unet3d.ts';
import { diceCrossEntropy } from '../../engine/ops/soft_dice.ts';
import { Program } from '../../engine/program.ts';
import { Recording } from '../../engine/recording.ts';
import { StepScalars } from '../../engine/step_scalars.ts';
import { readFixture } from '../fixtures/torch/fixture.ts';
import { waveBatch } from '../fixtures/torch/waves.ts';
import type { Dense, Triple } from '../reference/dense.ts';

/** One of the two networks with its recorded results. */
export function torchNetwork(name: 'unet_transposed' | 'unet_trilinear') {
  const { tensors, metadata } = readFixture(name);
  const { size, pools, upsampling, ...rest } = JSON.parse(metadata.network);
  const unet = unet3d({ ...rest, inChannels: 1, strides: pools, up: upsampling });
  const runs: Record<string, TorchRun> = JSON.parse(metadata.runs);
  const get = (key: string): Dense => {
    const found = tensors.get(key);
    assert.ok(found, `the fixture has no '${key}'`);
    return found as Dense;
  };
  const initial: ParameterValues = new Map(
    unet.specs.map((spec) => {
      const { shape, data } = get(`initial.${spec.name}`);
      return [spec.name, { shape, data: Float32Array.from(data) }];
    }),
  );
  return { unet, size: size as Triple, runs, get, initial };
}

export type TorchNetwork = ReturnType<typeof torchNetwork>;

export interface TorchRun {
  optimiser: 'sgd' | 'adamw';
  rate: number;
  power: number;
  warmUp: number;
  maxNorm: number;
  weightDecay: number;
  momentum: number;
  nesterov: boolean;
  beta1: number;
  beta2: number;
  epsilon: number;
}

/** Steps of every recorded run. */
export const STEPS = 10;

/** A recorded training step, ready to be replayed: forward, loss, backward, clipped update. */
export async function trainer(device: Device, { unet, size }: TorchNetwork, run: TorchRun, seed = 0) {
  const parameters = Parameters.create(device, unet.specs, { seed });
  const scalars = StepScalars.create<AdamWScalar>(device, ['learning_rate', 'adam_correction1', 'adam_correction2']);
  const images = device.tensor([2, ...size, 1], 'images');
  const labels = device.tensor([2, ...size], 'labels', { dtype: 'u32', dense: true });
  const optimiser = run.optimiser === 'sgd' ? sgd(parameters, scalars, run) : adamw(parameters, scalars, run);
  const recording = new Recording(device, 'training step');
  const { logits, bottleneck } = unet.forward(recording, parameters, images);
  const { loss } = diceCrossEntropy(recording, logits, labels);
  recording.backward(loss, { leaves: parameters.leaves() });
  const norm = gradientClip(recording, [parameters], run.maxNorm);
  optimiser.step(recording, norm);
  for (const t of [logits, bottleneck, loss, norm]) recording.keep(t);
  const program = await Program.create(recording);

  const step = async (i: number): Promise<{ loss: number; norm: number }> => {
    const batch = waveBatch(i, size);
    device.write(images, batch.images);
    device.write(labels, batch.labels);
    scalars.set({ learning_rate: polyRate(i, { ...run, steps: STEPS }), ...adamwScalars(i + 1, run) });
    program.run();
    return { loss: (await program.read(loss))[0], norm: (await program.read(norm))[0] };
  };
  return { parameters, optimiser, program, logits, bottleneck, step };
}

/** Sum and sum of squares of all values: what the fixtures keep of a trained network. */
export async function totals(parameters: Parameters): Promise<[number, number]> {
  let [sum, squares] = [0, 0];
  for (const { data } of (await parameters.read()).values()) {
    for (const v of data) {
      sum += v;
      squares += v * v;
    }
  }
  return [sum, squares];
}
