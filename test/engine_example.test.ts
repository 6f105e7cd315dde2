/** The public surface: the example at the top of engine/index.ts runs, word for word, and no op is left out. */
import { readdirSync, readFileSync } from 'node:fs';
import * as assert from 'uvu/assert';
import {
  Device,
  diceCrossEntropy,
  Parameters,
  Program,
  ReadbackRing,
  Recording,
  StepScalars,
  sgd,
  unet3d,
} from '../engine/index.ts';
import { gpuTest, run } from './harness.ts';
import { random } from './reference/dense.ts';

async function example(gpu: GPUDevice, voxels: ArrayLike<number>, classes: ArrayLike<number>, losses: number[]) {
  // from engine/index.ts
  const device = new Device(gpu);
  const network = unet3d({ inChannels: 1, classes: 2, channels: [8, 16] });
  const parameters = Parameters.create(device, network.specs, { seed: 1 });
  const scalars = StepScalars.create(device, ['learning_rate']);
  const image = device.tensor([1, 8, 8, 8, 1], 'image', { data: voxels });
  const labels = device.tensor([1, 8, 8, 8], 'labels', { dtype: 'u32', dense: true, data: classes });
  const step = new Recording(device, 'training step');
  const { loss } = diceCrossEntropy(step, network.forward(step, parameters, image).logits, labels);
  step.backward(loss, { leaves: parameters.leaves() });
  sgd(parameters, scalars, { momentum: 0.9 }).step(step);
  step.keep(loss);
  const ring = new ReadbackRing(await Program.create(step), { loss });
  scalars.set({ learning_rate: 0.3 });
  for (let i = 0; i < 10; i++) losses.push((await ring.run()).loss);
  device.destroy();
  // end
}

gpuTest('the example learns', async ({ gpu }) => {
  const voxels = random([8, 8, 8], 1).data;
  const losses: number[] = [];
  await example(
    gpu,
    voxels,
    voxels.map((v) => Number(v > 0)),
    losses,
  );
  assert.is(losses.length, 10);
  assert.ok(losses[9] < 0.8 * losses[0], losses.join());
});

const read = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8');
const index = read('../engine/index.ts');

gpuTest('the example is the one in the documentation', async () => {
  const [, here] = read('engine_example.test.ts').split(/ {2}\/\/ from engine\/index\.ts\n| {2}\/\/ end\n/);
  const documented = [...index.matchAll(/^ \* {3}(.*)$/gm)].map(([, line]) => `  ${line}\n`).join('');
  assert.is(documented, here);
});

/** Parts of other ops. */
const INTERNAL = [
  ...[
    'conv3d_direct',
    'conv3d_grad_weight',
    'conv3d_grad_weight_matrix',
    'conv3d_grad_weight_planes',
    'conv3d_grad_weight_windows',
    'conv3d_matrix',
    'conv3d_tiled',
    'conv3d_tiles',
    'conv3d_ways',
  ],
  ...[
    'conv3d_windows',
    'copy_channels',
    'matmul_windows',
    'matrix_ways',
    'norm_extents',
    'norm_passes',
    'packed_matrices',
    'pool_extents',
    'read_through',
    'reduce_rows',
    'sum_partials',
    'uniform_windows',
  ],
];
/** Parts of the method: engine/action exports what users need of them. */
const METHOD = ['centre', 'info_nce', 'location_similarity', 'mean_cosine', 'sample_features'];

gpuTest('every op is public, or named here', async () => {
  const surface = index + read('../engine/nn/losses.ts');
  const missing = readdirSync(new URL('../engine/ops', import.meta.url))
    .map((name) => name.replace(/\.ts$/, ''))
    .filter((name) => !surface.includes(`/ops/${name}.ts'`) && ![...INTERNAL, ...METHOD].includes(name));
  assert.equal(missing, [], 'add these to engine/index.ts');
});

run();
