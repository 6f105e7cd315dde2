/** The Euclidean norm of all gradients, and the factor that clips them, by the kernels of GPUs and of software adapters. */
import * as assert from 'uvu/assert';
import { Device, type DeviceTraits } from '../../engine/device.ts';
import { dryGpu } from '../../engine/dry_gpu.ts';
import { gradientClip, gradientNorm } from '../../engine/nn/clip.ts';
import { normal } from '../../engine/nn/init.ts';
import type { ParameterSpec } from '../../engine/nn/parameter_layout.ts';
import { Parameters } from '../../engine/nn/parameters.ts';
import { Program } from '../../engine/program.ts';
import { Recording } from '../../engine/recording.ts';
import { gpuTest, run } from '../harness.ts';
import { clipByGlobalNorm } from '../reference/clip.ts';
import { createSmall, randomValues, specs, toFloat64, wide } from './small_network.ts';

const families: [string, DeviceTraits][] = [
  ['GPUs', { software: false }],
  ['software', { software: true }],
];

/** A part of a vec4; what one workgroup of GPUs takes, and one vec4 more; what takes software adapters three launches. */
const sizes: (readonly ParameterSpec[])[] = [
  ...[1, 7, 4 * 255, 4 * 4096, 4 * 4097, 70_001].map((count) => [{ name: 'w', shape: [count], init: normal(1) }]),
  specs,
  wide,
];

for (const [family, traits] of families) {
  for (const declared of sizes) {
    const shapes = declared.map(({ shape }) => `[${shape}]`).join(' ');
    gpuTest(
      `norm and factor of gradients ${shapes} equal the reference (kernels of ${family})`,
      async (device) => {
        const parameters = Parameters.create(device, declared, { seed: 5 });
        const recording = new Recording(device, 'norm');
        const norm = recording.keep(gradientNorm(recording, parameters));
        const clips = [0, 0.5, 1e4].map((maxNorm) => ({
          maxNorm,
          clip: recording.keep(gradientClip(recording, [parameters], maxNorm)),
        }));
        const program = await Program.create(recording);
        for (const scale of [1, 1e-12, 1e12]) {
          const gradients = randomValues(declared, 3, scale);
          parameters.load(gradients, parameters.flatGrad);
          program.run();
          const [found] = await program.read(norm);
          const wanted = clipByGlobalNorm([...toFloat64(gradients).values()], 1);
          assert.ok(Math.abs(found / wanted - 1) < 1e-6, `norm ${found}, reference ${wanted}`);
          for (const { maxNorm, clip } of clips) {
            const [same, factor] = await program.read(clip);
            assert.is(same, found);
            const limit = maxNorm === 0 ? 1 : Math.min(1, maxNorm / (wanted + 1e-6));
            assert.ok(Math.abs(factor / limit - 1) < 1e-6, `factor ${factor}, reference ${limit}`);
          }
        }
        program.destroy();
      },
      traits,
    );
  }

  for (const count of [2, 5]) {
    gpuTest(
      `the norm of ${count} sets of parameters is that of all their gradients (kernels of ${family})`,
      async (device) => {
        const sets = Array.from({ length: count }, (_, i) => createSmall(device, i === 0 ? wide : specs));
        const all = sets.map((parameters, i) => {
          const gradients = randomValues(parameters.specs, 60 + i, 1 + i);
          parameters.load(gradients, parameters.flatGrad);
          return [...toFloat64(gradients).values()];
        });
        const recording = new Recording(device, 'norm');
        const norm = recording.keep(gradientNorm(recording, ...sets));
        const program = await Program.create(recording);
        program.run();
        const total = clipByGlobalNorm(all.flat(), 1);
        const [found] = await program.read(norm);
        assert.ok(Math.abs(found / total - 1) < 1e-6, `norm ${found}, reference ${total}`);
      },
      traits,
    );
  }

  gpuTest(
    `one infinite or undefined gradient among many shows in the norm (kernels of ${family})`,
    async (device) => {
      const parameters = createSmall(device, wide);
      const recording = new Recording(device, 'norm');
      const norm = recording.keep(gradientNorm(recording, parameters));
      const program = await Program.create(recording);
      for (const bad of [Number.POSITIVE_INFINITY, Number.NaN]) {
        const gradients = randomValues(wide, 9);
        (gradients.get('w') as { data: Float32Array }).data[123_457] = bad;
        parameters.load(gradients, parameters.flatGrad);
        program.run();
        assert.not.ok(Number.isFinite((await program.read(norm))[0]));
      }
    },
    traits,
  );
}

const LIMITS = {
  ...{ maxBufferSize: 2 ** 33, maxStorageBufferBindingSize: 2 ** 33, maxComputeWorkgroupsPerDimension: 65535 },
  ...{ minUniformBufferOffsetAlignment: 64, maxUniformBufferBindingSize: 65536 },
  ...{ maxComputeInvocationsPerWorkgroup: 256, maxComputeWorkgroupStorageSize: 16384 },
} as unknown as GPUSupportedLimits;

gpuTest(
  'GPUs take one launch up to 16,384 values, else one a set and one more; software adapters take no barriers',
  async () => {
    const kernels = (counts: number | number[], software: boolean) => {
      const device = new Device(dryGpu(LIMITS), { software });
      const sets = [counts].flat().map((count) => [{ name: 'w', shape: [count], init: normal(1) }]);
      const recording = new Recording(device, 'norm');
      const parameters = sets.map((declared) => Parameters.create(device, declared, { initialise: false }));
      gradientClip(recording, parameters, 1);
      return recording.commands.map((c) => (c.kind === 'dispatch' ? c.kernel.name : c.kind));
    };
    assert.equal(kernels(4 * 4096, false), ['grad_norm_tree_first_last_clip']);
    for (const count of [4 * 4097, 2 ** 30]) {
      assert.equal(kernels(count, false), ['grad_norm_tree_first', 'grad_norm_tree_last_clip'], `${count} values`);
    }
    const [first, last] = ['grad_norm_tree_first', 'grad_norm_tree_last_clip'];
    assert.equal(kernels([2 ** 22, 100, 2 ** 20], false), [first, first, first, last]);
    assert.equal(kernels(4 * 4097, true), ['grad_norm_first', 'grad_norm_last_clip']);
    assert.equal(kernels(2 ** 30, true), ['grad_norm_first', 'grad_norm', 'grad_norm', 'grad_norm_last_clip']);
  },
);

run();
