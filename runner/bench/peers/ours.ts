/** The engine itself on the works that peers get. */
import type { Device } from '../../../engine/device.ts';
import { Parameters } from '../../../engine/nn/parameters.ts';
import { sgd } from '../../../engine/nn/sgd.ts';
import { unet3d } from '../../../engine/nn/unet3d.ts';
import { conv3d } from '../../../engine/ops/conv3d.ts';
import { diceCrossEntropy } from '../../../engine/ops/soft_dice.ts';
import { Program } from '../../../engine/program.ts';
import { Recording } from '../../../engine/recording.ts';
import { StepScalars } from '../../../engine/step_scalars.ts';
import type { Tensor } from '../../../engine/tensor.ts';
import { updateOf } from './layout.ts';
import {
  CHECKED_STEPS,
  type ConvolutionWork,
  type HostArray,
  type NetworkWork,
  type Prepared,
  type System,
} from './protocol.ts';

const SAME = { convolution: [0, 1, 2, 3, 4], up: [0, 1, 2, 3, 4] };

export function ourSystem(device: Device): System {
  return {
    backend: 'webgpu',
    prepare: (work) => (work.kind === 'convolution' ? convolution(device, work) : network(device, work)),
  };
}

/** Runs it once and keeps it. `owned` is destroyed with it. */
async function prepared(
  device: Device,
  rec: Recording,
  results: Readonly<Record<string, Tensor>>,
  owned: readonly (() => void)[],
  before: number,
): Promise<Prepared & { program: Program }> {
  for (const t of Object.values(results)) rec.keep(t);
  const program = await Program.create(rec);
  program.run();
  const values: [string, Float32Array][] = [];
  for (const [name, t] of Object.entries(results)) values.push([name, (await program.read(t)) as Float32Array]);
  return {
    ...{ program, results: Object.fromEntries(values), gpuBytes: device.bytesHeld - before },
    async run(times) {
      for (let i = 0; i < times; i++) program.run();
      await device.idle();
    },
    destroy() {
      program.destroy();
      for (const destroy of owned) destroy();
    },
  };
}

function convolution(device: Device, { gradients, x, w, dy }: ConvolutionWork): Promise<Prepared> {
  const before = device.bytesHeld;
  const tensors: Tensor[] = [];
  const make = (label: string, { shape, data }: HostArray) => {
    const t = device.tensor(shape, label, { data });
    tensors.push(t);
    return t;
  };
  const leaf = (label: string, values: HostArray): Tensor => {
    const value = make(label, values);
    if (!gradients) return value;
    const grad = device.tensor(values.shape, `d${label}`);
    tensors.push(grad);
    return { ...value, requiresGrad: true, grad };
  };
  const [a, b] = [leaf('x', x), leaf('w', w)];
  const rec = new Recording(device, 'convolution');
  const y = conv3d(rec, a, b, null, { padding: [1, 1, 1] });
  if (gradients) rec.backward(y, { seed: make('dy', dy), leaves: [a, b] });
  const results: Record<string, Tensor> = { y };
  if (gradients) Object.assign(results, { dx: a.grad, dw: b.grad });
  return prepared(
    device,
    rec,
    results,
    tensors.map((t) => () => device.destroyTensor(t)),
    before,
  );
}

async function network(device: Device, work: NetworkWork): Promise<Prepared> {
  const { x, labels, channels, classes, slope, training, rate, momentum } = work;
  const before = device.bytesHeld;
  const net = unet3d({ inChannels: x.shape[4], classes, channels, slope });
  const parameters = Parameters.create(device, net.specs, { trainable: training, initialise: false });
  parameters.load(new Map(work.parameters.map(({ name, shape, data }) => [name, { shape, data }])));
  const image = device.tensor(x.shape, 'image', { data: x.data });
  const owned = [() => parameters.destroy(), () => device.destroyTensor(image)];
  const rec = new Recording(device, work.name);
  if (!training) {
    const { logits } = rec.noGrad(() => net.forward(rec, parameters, image, { training: false }));
    return prepared(device, rec, { logits }, owned, before);
  }
  const classesOf = device.tensor(x.shape.slice(0, 4), 'labels', { dtype: 'u32', dense: true, data: labels });
  const scalars = StepScalars.create(device, ['learning_rate']);
  scalars.set({ learning_rate: rate });
  const optimiser = sgd(parameters, scalars, { momentum });
  const { loss } = diceCrossEntropy(rec, net.forward(rec, parameters, image).logits, classesOf);
  rec.backward(loss, { leaves: parameters.leaves() });
  optimiser.step(rec);
  owned.push(
    () => device.destroyTensor(classesOf),
    () => optimiser.destroy(),
    () => scalars.destroy(),
  );
  const ready = await prepared(device, rec, { loss }, owned, before);
  const losses = [ready.results.loss[0]];
  const moved = await parameters.read();
  const update = updateOf(
    work,
    work.parameters.map(({ name }) => (moved.get(name) as HostArray).data),
    SAME,
  );
  while (losses.length < CHECKED_STEPS) {
    ready.program.run();
    losses.push((await ready.program.read(loss))[0]);
  }
  return { ...ready, results: { losses: Float32Array.from(losses), update } };
}
