/** `bench kernels --ways`: a row for each way of each pass of a convolution, and each computed by that way. */
import * as assert from 'uvu/assert';
import { Device } from '../../engine/device.ts';
import { CONV3D, CONV3D_GRAD_WEIGHT } from '../../engine/ops/conv3d_ways.ts';
import { createClock } from '../../runner/bench/clock.ts';
import { forceWays } from '../../runner/bench/every_way.ts';
import { benchKernels } from '../../runner/bench/kernels.ts';
import { OPS } from '../../runner/bench/ops.ts';
import type { KernelShape } from '../../runner/bench/shapes.ts';
import { gpuTest, run } from '../harness.ts';

const SHAPES: KernelShape[] = [
  { op: 'conv3d', name: 'points', input: [1, 2, 3, 5, 8], out: 4, kernel: [1, 1, 1] },
  { op: 'add', name: 'no choice', input: [1, 2, 3, 5, 8] },
];

gpuTest('every way of a convolution is checked and timed, and other ops as ever', async ({ gpu, software }) => {
  const { choose, everyWay } = forceWays();
  const taken: string[] = [];
  const device = new Device(gpu, {
    software,
    choose(op, key, problem) {
      const way = choose(op, key, problem);
      if (way) taken.push(`${op} ${way}`);
      return way;
    },
  });
  const clock = createClock(device);
  const rows = await benchKernels(
    {
      ...{ device, clock, ops: { ...OPS, conv3d: everyWay(OPS.conv3d) } },
      peaks: { flopsPerSecond: 1e9, bytesPerSecond: 1e9, launchMs: 1 },
      effort: { sampleMs: 0, samples: 1, budgetMs: Infinity },
    },
    SHAPES,
  );
  const names = rows.map(({ pass }) => pass);
  const of = (pass: string) =>
    names.filter((name) => name.startsWith(`${pass}, `)).map((name) => name.slice(pass.length + 2));
  const [forward, gradInput, gradWeight] = ['forward', 'grad input', 'grad weight'].map(of);
  assert.ok(forward.length >= 3 && gradInput.length >= 3 && gradWeight.length >= 2, names.join('; '));
  assert.ok(forward.every((way) => CONV3D.ways.some(({ name }) => name === way)));
  assert.is(new Set(names).size, names.length);
  assert.equal(
    taken,
    [...forward, ...gradInput]
      .map((way) => `${CONV3D.op} ${way}`)
      .concat(gradWeight.map((way) => `${CONV3D_GRAD_WEIGHT.op} ${way}`)),
  );
  assert.is(names[names.length - 1], 'forward');
  assert.ok(rows.every(({ check, timing }) => check.ok && timing));
  clock.destroy();
  device.destroy();
});

run();
