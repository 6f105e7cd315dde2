/** The U-Net's variants beyond the two that PyTorch fixtures cover (test/training.test.ts). */
import * as assert from 'uvu/assert';
import type { Device } from '../../engine/device.ts';
import { Parameters } from '../../engine/nn/parameters.ts';
import { type UnetMode, unet3d } from '../../engine/nn/unet3d.ts';
import type { UnetConfig } from '../../engine/nn/unet3d_config.ts';
import { CONV3D } from '../../engine/ops/conv3d_ways.ts';
import { compute } from '../../engine/program.ts';
import { Recording } from '../../engine/recording.ts';
import { createStepCounters } from '../../engine/step_counters.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { assertClose } from '../compare.ts';
import { gpuTest, run } from '../harness.ts';
import { type Dense, random } from '../reference/dense.ts';

const base: UnetConfig = { inChannels: 2, classes: 3, channels: [3, 6, 8], groups: 1, strides: [[1, 2, 2], [2, 2, 1]] }; // biome-ignore format: one line
const size = [2, 4, 8, 6, 2];

/** Sum of logits * `direction` for a network at `parameters`, and its gradient in the parameters' flat gradient. */
async function directional(device: Device, config: UnetConfig, parameters: Parameters, x: Tensor, direction: Dense) {
  const unet = unet3d(config);
  const seed = device.tensor(direction.shape, 'direction', { data: direction.data });
  const { logits } = await compute(device, (rec) => {
    const { logits } = unet.forward(rec, parameters, x);
    rec.backward(logits, { seed, leaves: parameters.leaves() });
    return { logits };
  });
  return logits.reduce((sum, v, i) => sum + v * direction.data[i], 0);
}

const variants: [string, Partial<UnetConfig>][] = [
  ['batch norm, ReLU, trilinear', { norm: 'batch', activation: 'relu', up: 'trilinear' }],
  ['no norm, GELU, transposed', { norm: 'none', activation: 'gelu' }],
  ['group norm, leaky ReLU, one block', { norm: 'group', slope: 0.2, blocksPerLevel: 1, kernels: [[1, 3, 3], [3, 3, 3], [3, 1, 3]] }], // biome-ignore format: one case a line
  ['one level', { channels: [5], strides: [], norm: 'instance', activation: 'gelu' }],
];

for (const [name, change] of variants) {
  gpuTest(`${name}: the gradient of all parameters agrees with a central difference along itself`, async (device) => {
    const config = { ...base, ...change };
    const parameters = Parameters.create(device, unet3d(config).specs, { seed: 4 });
    const x = device.tensor(size, 'x', { data: random(size, 3).data });
    const direction = random([...size.slice(0, 4), base.classes], 5);
    await directional(device, config, parameters, x, direction);
    const values = await parameters.read();
    const gradient = await parameters.read(parameters.flatGrad);
    const squares = [...gradient.values()].reduce((sum, { data }) => sum + data.reduce((a, g) => a + g * g, 0), 0);
    const step = 2e-3 / Math.sqrt(squares);
    const moved = async (by: number) => {
      parameters.load(
        new Map(
          [...values].map(([key, { shape, data }]) => {
            const g = gradient.get(key)?.data;
            return [key, { shape, data: g ? data.map((v, i) => v + by * g[i]) : data }];
          }),
        ),
      );
      return directional(device, config, parameters, x, direction);
    };
    const slope = ((await moved(step)) - (await moved(-step))) / (2 * step);
    assert.ok(Math.abs(slope / squares - 1) < 0.02, `central difference ${slope}, gradient norm squared ${squares}`);
  });
}

/** Logits and gradients of a network of 8 and 16 channels; how often an activated feature map was written. */
async function byKernels(device: Device) {
  const unet = unet3d({ inChannels: 1, classes: 3, channels: [8, 16] });
  const parameters = Parameters.create(device, unet.specs, { seed: 6 });
  const size = [2, 8, 16, 32, 1];
  const x = device.tensor(size, 'x', { data: random(size, 3).data });
  const shape = [...size.slice(0, 4), 3];
  const seed = device.tensor(shape, 'seed', { data: random(shape, 4).data });
  let applied = 0;
  const { logits } = await compute(device, (rec) => {
    const { logits } = unet.forward(rec, parameters, x);
    rec.backward(logits, { seed, leaves: parameters.leaves() });
    const names = rec.commands.map((command) => (command.kind === 'dispatch' ? command.kernel.name : command.kind));
    applied = names.filter((name) => name.startsWith('norm_apply')).length;
    return { logits };
  });
  return { logits, gradients: await parameters.read(parameters.flatGrad), applied };
}

let bySoftware: Awaited<ReturnType<typeof byKernels>>;

gpuTest(
  'kernels of software adapters write all six activated feature maps',
  async (device) => {
    bySoftware = await byKernels(device);
    assert.is(bySoftware.applied, 6);
  },
  { software: true },
);

gpuTest(
  'boxes of GPUs write two, for the up-convolution and the head: the same logits and gradients',
  async (device) => {
    const { logits, gradients, applied } = await byKernels(device);
    assert.is(applied, 2);
    assertClose('logits', logits, { shape: [logits.length], data: bySoftware.logits }, { absolute: 2e-5 });
    for (const [name, { shape, data }] of bySoftware.gradients)
      assertClose(`gradient of ${name}`, gradients.get(name)!.data, { shape: [...shape], data }, { terms: 16384 });
  },
  { software: false, choose: (op) => (op === CONV3D.op ? 'tiled 4x8x4 x4 c2' : undefined) },
);

gpuTest('features go from the bottleneck to full resolution; encode and decode make up forward', async (device) => {
  const unet = unet3d(base);
  const parameters = Parameters.create(device, unet.specs, { trainable: false });
  const x = device.tensor(size, 'x', { data: random(size, 3).data });
  const { whole, parts } = await compute(device, (rec) => {
    const { logits, bottleneck, features } = unet.forward(rec, parameters, x);
    assert.is(features[0], bottleneck);
    assert.equal(
      features.map((t) => t.shape),
      [
        [2, 2, 2, 3, 8],
        [2, 4, 4, 3, 6],
        [2, 4, 8, 6, 3],
      ],
    );
    assert.equal(logits.shape, [2, 4, 8, 6, 3]);
    return { whole: logits, parts: unet.decode(rec, parameters, unet.encode(rec, parameters, x)).logits };
  });
  assert.ok(whole.some((v) => v !== 0));
  assert.equal(whole, parts);
});

gpuTest('running statistics: training moves them and ignores them, prediction uses them', async (device) => {
  const unet = unet3d({ ...base, norm: 'batch' });
  const parameters = Parameters.create(device, unet.specs, { trainable: false });
  const x = device.tensor(size, 'x', { data: random(size, 3).data });
  const logits = async (mode: UnetMode) =>
    (await compute(device, (rec) => ({ y: unet.forward(rec, parameters, x, mode).logits }))).y;
  const before = await parameters.read();
  const untouched = await logits({ training: false });
  assert.equal(await parameters.read(), before);
  const trained = await logits({ training: true });
  assert.not.equal(trained, untouched);
  assert.not.equal(await parameters.read(), before);
  assert.equal(await logits({ training: true }), trained);
  assert.not.equal(await logits({ training: false }), untouched);
});

gpuTest('dropout: by step and stream, only while training', async (device) => {
  const unet = unet3d({ ...base, dropout: 0.5 });
  const parameters = Parameters.create(device, unet.specs, { trainable: false });
  const x = device.tensor(size, 'x', { data: random(size, 3).data });
  const counters = createStepCounters(device, 1);
  const bottleneck = async (stream: number | null, training = true) => {
    const dropout = stream !== null && { counters: counters.tensor, stream };
    return (await compute(device, (rec) => ({ y: unet.encode(rec, parameters, x, { training, dropout })[2] }))).y;
  };
  const zeros = (values: Float32Array) => values.filter((v) => v === 0).length / values.length;
  const first = await bottleneck(0);
  assert.ok(zeros(first) > 0.3 && zeros(first) < 0.7, `${zeros(first)} of the bottleneck dropped`);
  assert.equal(await bottleneck(0), first);
  assert.not.equal(await bottleneck(1), first);
  counters.setStep(1);
  assert.not.equal(await bottleneck(0), first);
  assert.is(zeros(await bottleneck(0, false)), 0);
  assert.is(zeros(await bottleneck(null)), 0);
  assert.throws(
    () => unet.forward(new Recording(device, 'step'), parameters, x),
    /training with dropout 0.5 needs random counters/,
  );
});

gpuTest('errors name axis, size and what would fit; channels are checked', async (device) => {
  const unet = unet3d(base);
  const parameters = Parameters.create(device, unet.specs, { trainable: false });
  const forward = (shape: number[]) =>
    unet.forward(new Recording(device, 'step'), parameters, device.tensor(shape, 'patch'));
  assert.throws(() => forward([1, 4, 6, 6, 2]), /6 voxels along y are no multiple of 4 \(use 4 or 8\)/);
  assert.throws(() => forward([1, 4, 8, 6, 1]), /'patch' \[1, 4, 8, 6, 1\] has 1 channels but the network takes 2/);
  assert.throws(() => forward([4, 8]), /'patch' must be \[N, D, H, W, C\]/);
});

run();
