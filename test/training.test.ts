/** Training against PyTorch (test/fixtures/torch/unet.py): forward, gradients, ten losses; determinism of replay and of seeds. */
import * as assert from 'uvu/assert';
import type { DeviceTraits } from '../engine/device.ts';
import { assertClose } from './compare.ts';
import { gpuTest, run } from './harness.ts';
import { STEPS, torchNetwork, trainer } from './nn/torch_run.ts';

const networks = { unet_transposed: torchNetwork('unet_transposed'), unet_trilinear: torchNetwork('unet_trilinear') };

const assertNear = (label: string, actual: number, expected: number, relative: number) =>
  assert.ok(Math.abs(actual / expected - 1) <= relative, `${label}: ${actual}, PyTorch ${expected}`);

const KERNELS: Record<string, DeviceTraits | undefined> = { 'this adapter': undefined, GPUs: { software: false } };

for (const [name, network] of Object.entries(networks)) {
  const { get, initial, runs } = network;

  for (const [kernels, traits] of Object.entries(KERNELS))
    gpuTest(
      `${name}, kernels for ${kernels}: logits, bottleneck, loss and every gradient equal PyTorch's`,
      async (device) => {
        const { parameters, program, logits, bottleneck, step } = await trainer(
          device,
          network,
          Object.values(runs)[0],
        );
        parameters.load(initial);
        const { loss } = await step(0);
        assertClose('logits', await program.read(logits), get('logits'), { absolute: 2e-5 });
        assertClose('bottleneck', await program.read(bottleneck), get('bottleneck'), { absolute: 2e-5 });
        assertNear('loss', loss, get('loss').data[0], 1e-6);
        for (const [parameter, { data }] of await parameters.read(parameters.flatGrad)) {
          assertClose(`gradient of ${parameter}`, data, get(`grad.${parameter}`), { absolute: 1e-6, terms: 256 });
        }
      },
      traits,
    );

  for (const [runName, settings] of Object.entries(runs)) {
    gpuTest(`${name}: ten losses of run '${runName}' equal PyTorch's to 1e-4`, async (device) => {
      const { parameters, step } = await trainer(device, network, settings);
      parameters.load(initial);
      for (let i = 0; i < STEPS; i++) {
        const { loss, norm } = await step(i);
        assertNear(`loss ${i}`, loss, get(`${runName}.losses`).data[i], 1e-4);
        // Wider: a value near a kink of leaky ReLU or max pooling moves 'sgd_clipped' norms by 5e-4, in float64 PyTorch too
        // when its weights move by 1e-7.
        assertNear(`gradient norm ${i}`, norm, get(`${runName}.norms`).data[i], 1e-3);
      }
      for (const [parameter, { data }] of await parameters.read()) {
        const [sum, squares, first, last] = get(`${runName}.final.${parameter}`).data;
        const found = [
          data.reduce((a, b) => a + b, 0),
          data.reduce((a, b) => a + b * b, 0),
          data[0],
          data[data.length - 1],
        ];
        const spread = Math.sqrt(squares);
        const expected = { shape: [4], data: [sum / spread, squares / spread, first, last] };
        assertClose(`final ${parameter}`, [found[0] / spread, found[1] / spread, found[2], found[3]], expected, {
          absolute: 1e-3,
        });
      }
    });
  }
}

gpuTest('a replay equals the first run to the bit, and so does a program built anew', async (device) => {
  const network = networks.unet_transposed;
  const settings = network.runs.sgd;
  const first = await trainer(device, network, settings);
  const steps = async ({ parameters, optimiser, step }: typeof first) => {
    parameters.load(network.initial);
    const zero = new Map(
      [...network.initial].map(([key, { shape, data }]) => [key, { shape, data: data.map(() => 0) }]),
    );
    for (const state of Object.values(optimiser.state)) parameters.load(zero, state);
    const losses: number[] = [];
    for (let i = 0; i < 3; i++) losses.push((await step(i)).loss);
    return { losses, values: await parameters.read(), velocity: await parameters.read(optimiser.state.velocity) };
  };
  const once = await steps(first);
  assert.equal(await steps(first), once);
  assert.equal(await steps(await trainer(device, network, settings)), once);
});

gpuTest('two runs with one seed give identical weights, another seed gives others', async (device) => {
  const network = networks.unet_trilinear;
  const train = async (seed: number) => {
    const { parameters, step } = await trainer(device, network, network.runs.adamw, seed);
    for (let i = 0; i < 2; i++) await step(i);
    return parameters.read();
  };
  const once = await train(11);
  assert.equal(await train(11), once);
  assert.not.equal(await train(12), once);
});

gpuTest('a step allocates what its plan says and holds it', async (device) => {
  const network = networks.unet_transposed;
  const { program, parameters, step } = await trainer(device, network, network.runs.sgd);
  const held = device.bytesHeld;
  for (let i = 0; i < 2; i++) await step(i);
  assert.is(device.bytesHeld, held);
  program.destroy();
  assert.is(held - device.bytesHeld, program.plan.totalBytes);
  assert.ok(parameters.bytes > 0);
});

run();
