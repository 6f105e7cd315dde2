/** Every kernel that is timed is checked before, and a wrong one is noticed and not timed. */
import * as assert from 'uvu/assert';
import type { Device } from '../../engine/device.ts';
import { scale } from '../../engine/ops/elementwise.ts';
import { Recording } from '../../engine/recording.ts';
import { differentiable, type KernelOp, noiseInput } from '../../runner/bench/case.ts';
import { createClock } from '../../runner/bench/clock.ts';
import { benchKernels, rowName } from '../../runner/bench/kernels.ts';
import { OPS } from '../../runner/bench/ops.ts';
import { KERNEL_OPS, type KernelShape } from '../../runner/bench/shapes.ts';
import { gpuTest, run } from '../harness.ts';
import { emulated, UNLIKE } from '../ops/matrix_emulation.ts';
import { TINY } from './tiny_shapes.ts';

const EFFORT = { sampleMs: 0, samples: 1, budgetMs: Infinity };
const PEAKS = { flopsPerSecond: 1e9, bytesPerSecond: 2e9, launchMs: 1 };

async function rowsOf(device: Device, shapes = TINY, ops = OPS) {
  const clock = createClock(device);
  try {
    return await benchKernels({ device, clock, peaks: PEAKS, effort: EFFORT, ops }, shapes);
  } finally {
    clock.destroy();
  }
}

for (const software of [true, false])
  gpuTest(
    `all ops agree with float64 and are timed, kernels for ${software ? 'software' : 'hardware'}`,
    async (device) => {
      const rows = await rowsOf(device);
      assert.equal([...new Set(rows.map(({ op }) => op))].sort(), [...KERNEL_OPS].sort());
      for (const row of rows) {
        assert.ok(row.check.ok, `${rowName(row)}: ${JSON.stringify(row.check)}`);
        assert.ok(row.check.samples > 0 && row.check.error >= 0);
        assert.ok(row.timing && row.timing.ms > 0 && row.timing.aloneMs > 0, rowName(row));
        const seconds = row.timing.ms / 1000;
        assert.ok(Math.abs((row.ofCopy as number) - row.bytes / seconds / 2e9) < 1e-9);
        if (row.flops === 0) assert.is(row.ofFma, null);
        else assert.ok(Math.abs((row.ofFma as number) - row.flops / seconds / 1e9) < 1e-9);
      }
      const conv = rows.filter(({ op, name }) => op === 'conv3d' && name === 'odd');
      assert.equal(
        conv.map(({ pass }) => pass),
        ['forward', 'grad input', 'grad weight'],
      );
      // 280 voxels, 27 taps, 3 to 5 channels; x and w with rows of 4, y with rows of 8, float32
      assert.equal([conv[0].flops, conv[0].bytes], [2 * 280 * 27 * 15, 4 * (280 * 4 + 27 * 3 * 8 + 280 * 8)]);
      assert.is(device.bytesHeld, 0);
    },
    { software },
  );

gpuTest(
  'what is timed of a gradient is that gradient, whatever is moved in front of all commands',
  async (device) => {
    const shape: KernelShape = { op: 'conv3d_f16', name: 'matrices', input: [1, 8, 8, 8, 16], out: 16 };
    const { passes, destroy } = OPS.conv3d_f16(device, shape);
    const timed = passes.map((pass) => {
      const rec = new Recording(device, pass.name);
      const { from } = pass.record(rec);
      rec.plan();
      return rec.commands
        .slice(from)
        .map((command) => (command.kind === 'dispatch' ? command.kernel.name : command.kind));
    });
    assert.equal(timed, [
      ['pack_weights_matrix', 'conv3d_matrix_333'],
      ['conv3d_matrix_333'],
      ['conv3d_grad_weight_matrix_333', 'sum_partials_tree'],
    ]);
    destroy();
  },
  { software: false, matrixUnit: UNLIKE, wrap: (gpu) => emulated(gpu, UNLIKE) },
);

/** y = 2 x, whose kernel is off by `forward` and `backward`, both 1 where it is right. */
const doubling =
  (forward: number, backward: number): KernelOp =>
  (device, { input }) => {
    const x = noiseInput('x', input, 1);
    const sampled = (values: ArrayLike<number>) => ({ at: [0, 5], expected: [2 * values[0], 2 * values[5]], terms: 1 });
    return differentiable(device, {
      ...{ inputs: [x], output: input, flops: 1 },
      record: (rec, [t]) =>
        rec.node('doubling', [t], scale(rec, rec.detach(t), 2 * forward), (dy, gradients) =>
          gradients.pass(0, scale(rec, dy, 2 * backward)),
        ),
      gradients: [{ name: 'backward', leaves: [0], reads: [], flops: 1 }],
      expected: { output: () => sampled(x.data), gradient: (_, dy) => sampled(dy) },
    });
  };

gpuTest('a kernel that is off by 1e-5 is wrong, forward or backward, and is not timed', async (device) => {
  const shape: KernelShape = { op: 'add', name: 'injected', input: [1, 2, 2, 2, 4] };
  const verdict = async (forward: number, backward: number) => {
    const rows = await rowsOf(device, [shape], { ...OPS, add: doubling(forward, backward) });
    for (const { check, timing } of rows) assert.is(check.ok, timing !== null);
    return rows.map(({ check }) => check.ok);
  };
  assert.equal(await verdict(1, 1), [true, true]);
  assert.equal(await verdict(1 + 1e-5, 1), [false, true]);
  assert.equal(await verdict(1, 1 - 1e-5), [true, false]);
});

gpuTest('a convolution that leaves one voxel out is noticed, also in sums over 4,096 of them', async (device) => {
  const right = device.tensor.bind(device);
  device.tensor = (shape, label, options) =>
    right(shape, label, label === 'x' ? { data: [0, 0, 0, 0, ...Array.from(options?.data ?? []).slice(4)] } : options);
  const rows = await rowsOf(device, [{ op: 'conv3d', name: 'lossy', input: [1, 16, 16, 16, 4], out: 4 }]);
  assert.equal(
    rows.map(({ pass, check, timing }) => [pass, check.tensor, check.ok, timing !== null]),
    [
      ['forward', 'y', false, false],
      ['grad input', 'dx', true, true],
      ['grad weight', 'dw', false, false],
    ],
  );
});

run();
