/** Norms behind convolutions whose kernels leave the statistics of their output: no pass over it, and the same numbers. */
import * as assert from 'uvu/assert';
import type { Device, DeviceTraits } from '../../engine/device.ts';
import type { MatrixUnit } from '../../engine/matrix_unit.ts';
import { conv3d } from '../../engine/ops/conv3d.ts';
import { type MatrixTile, matrices } from '../../engine/ops/conv3d_matrix.ts';
import { CONV3D } from '../../engine/ops/conv3d_ways.ts';
import { batchNorm, groupNorm, instanceNorm } from '../../engine/ops/norm.ts';
import { compute } from '../../engine/program.ts';
import { Recording } from '../../engine/recording.ts';
import type { Triple } from '../../engine/shape.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { assertClose } from '../compare.ts';
import { checkOp, gpuTest, matrixUnit, run, upload } from '../harness.ts';
import * as convolution from '../reference/conv3d.ts';
import { type Dense, halves, random } from '../reference/dense.ts';
import * as norm from '../reference/norm.ts';
import { emulated, NVIDIA, UNLIKE } from './matrix_emulation.ts';

const OPTIONS = { stride: [1, 1, 1] as Triple, padding: [1, 1, 1] as Triple };
const BOXES = CONV3D.ways.filter(({ name }) => name.startsWith('tiled'));
assert.is(BOXES.length, 18, 'four boxes, weights here or there, and two for NVIDIA, some with F(4, 3) too');
const SPLIT = CONV3D.ways.filter(({ name }) => / c4 split [39]/.test(name));
assert.is(SPLIT.length, 4);

/** Boxes reach over the volume along every axis; the means are far from zero. */
const NOISE = random([2, 7, 15, 30, 6], 1);
const X = { ...NOISE, data: NOISE.data.map((v) => Math.fround(v + 3)) };
const W = random([3, 3, 3, 6, 16], 2);
const [GAMMA, BETA] = [random([16], 4), random([16], 5)];
const Y = convolution.conv3d(X, W, null, OPTIONS);
const TOLERANCE = { terms: 27 * 6 * 4, relative: 40 };

const traits = (way: string): DeviceTraits => ({
  software: false,
  choose: (op) => (op === CONV3D.op ? way : undefined),
});
const passes = (rec: Recording) =>
  rec.commands.filter((c) => c.kind === 'dispatch' && /^norm_partial(_tree)?$/.test(c.kernel.name)).length;

for (const { name } of [...BOXES, ...SPLIT])
  gpuTest(
    `'${name}' leaves what instance norm needs`,
    async (device) => {
      await checkOp(device, name, {
        inputs: { x: X, w: W, gamma: GAMMA, beta: BETA },
        op: (rec, t) => {
          const y = conv3d(rec, t.x, t.w, null, { ...OPTIONS, moments: true });
          const z = instanceNorm(rec, y, t.gamma, t.beta);
          assert.is(passes(rec), 0);
          return z;
        },
        expected: norm.instanceNorm(Y, GAMMA, BETA).y,
        gradients: (dz) => {
          const { dx: dy, dgamma, dbeta } = norm.instanceNormGrad(Y, GAMMA, dz);
          return { x: convolution.conv3dGradInput(dy, W, X.shape, OPTIONS), gamma: dgamma, beta: dbeta };
        },
        tolerance: TOLERANCE,
      });
    },
    traits(name),
  );

async function norms(
  device: Device,
  use: (rec: Recording, y: Tensor, t: Record<string, Tensor>) => Tensor,
  dtype?: 'bf16',
) {
  let counted = 0;
  const { z } = await compute(device, (rec) => {
    const dense: Record<string, Dense> = { x: X, w: W, gamma: GAMMA, beta: BETA };
    const t = Object.fromEntries(Object.entries(dense).map(([key, value]) => [key, upload(device, value, key)]));
    const y = conv3d(rec, t.x, t.w, null, { ...OPTIONS, moments: true, store: dtype });
    const z = use(rec, y, t);
    counted = passes(rec);
    return { z };
  });
  return { z, counted };
}

gpuTest(
  'group norm and batch norm take them too, merged over the channels of a group or over the samples',
  async (device) => {
    const group = await norms(device, (rec, y, t) => groupNorm(rec, y, 4, t.gamma, t.beta));
    assert.is(group.counted, 0);
    assertClose('group_norm', group.z, norm.groupNorm(Y, GAMMA, BETA, 4).y, TOLERANCE);
    const running = { mean: device.tensor([16], 'mean'), variance: device.tensor([16], 'variance') };
    const batch = await norms(device, (rec, y, t) => batchNorm(rec, y, running, t.gamma, t.beta, { training: true }));
    assert.is(batch.counted, 0);
    assertClose('batch_norm', batch.z, norm.batchNorm(Y, GAMMA, BETA).y, TOLERANCE);
  },
  traits(BOXES[0].name),
);

gpuTest(
  'they are those of the sums, not of the bfloat16 that is stored',
  async (device) => {
    const { z, counted } = await norms(device, (rec, y, t) => instanceNorm(rec, y, t.gamma, t.beta), 'bf16');
    assert.is(counted, 0);
    // A value near 40 is stored to within 1/8, a fraction of the standard deviation.
    assertClose('instance_norm', z, norm.instanceNorm(Y, GAMMA, BETA).y, { relative: 2 ** 20, terms: 1 });
  },
  traits(BOXES[0].name),
);

gpuTest(
  'not of another view of the output, nor of what has been changed since; kernels that leave none are followed by a pass',
  async (device) => {
    const counted = (change: (rec: Recording, y: Tensor) => Tensor, way = BOXES[0].name) => {
      const on = Object.assign(Object.create(Object.getPrototypeOf(device)), device, { choose: () => way }) as Device;
      const rec = new Recording(on, 'counted');
      const y = conv3d(rec, upload(on, X, 'x'), upload(on, W, 'w'), null, { ...OPTIONS, moments: true });
      instanceNorm(rec, change(rec, y));
      return passes(rec);
    };
    assert.is(
      counted((_, y) => y),
      0,
    );
    assert.is(
      counted((rec, y) => rec.reshape(y, [1, 14, 15, 30, 16])),
      1,
    );
    const cleared = (rec: Recording, y: Tensor) => {
      rec.clear(y);
      return y;
    };
    assert.is(counted(cleared), 1);
    assert.is(
      counted((_, y) => y, 'direct x4 c2'),
      1,
    );
  },
  traits(BOXES[0].name),
);

/** Mean and variance of a sample's channel from the moments of its parts. */
function statistics(moments: Float32Array, parts: number, channels: number, sample: number, c: number) {
  const part = (k: number) => [0, 1, 2].map((q) => moments[((sample * parts + k) * 3 + q) * channels + c]);
  const all = Array.from({ length: parts }, (_, k) => part(k));
  const count = all.reduce((sum, [, , n]) => sum + n, 0);
  const mean = all.reduce((sum, [m, , n]) => sum + m * n, 0) / count;
  const m2 = all.reduce((sum, [m, own, n]) => sum + own + n * (m - mean) ** 2, 0);
  return { count, mean, variance: m2 / count };
}

/** On units that are emulated, but for the adapter's own where it has any. */
const TILES: readonly (readonly [MatrixUnit, MatrixTile])[] = [
  [UNLIKE, { run: 2, rows: [1, 2], groups: [2, 1, 2], pad: 2 }],
  [UNLIKE, { run: 1, rows: [2, 1], groups: [1, 2, 1], pad: 0 }],
  [UNLIKE, { run: 0, rows: [1, 1], groups: [1, 1, 4], pad: 0 }],
  [NVIDIA[0], { run: 1, rows: [2, 1], groups: [1, 2, 1], pad: 0 }],
  ...(matrixUnit ? [[matrixUnit, { run: 2, rows: [1, 2], groups: [2, 1, 1], pad: 2 }] as const] : []),
];

for (const [unit, tile] of TILES) {
  const way = matrices(tile);
  gpuTest(
    `'${way.name}' on units of ${unit.m} x ${unit.n} x ${unit.k} leaves them too, for channels that fill no matrix`,
    async (device) => {
      const [x, w] = [halves([2, 9, 10, 11, 14], 6), halves([3, 3, 3, 14, 10], 7)];
      const expected = convolution.conv3d(x, w, null, OPTIONS);
      const results = await compute(device, (rec) => {
        const y = rec.tensor(expected.shape, 'y');
        const form = { kernel: [3, 3, 3], ...OPTIONS, products: 'f16', transpose: false, flip: false } as const;
        const problem = { ...form, x: upload(device, x, 'x'), w: upload(device, w, 'w'), y, moments: true };
        assert.ok(way.serves(device, problem));
        way.record(rec, problem);
        return { y, moments: rec.momentsOf(y) as Tensor };
      });
      assertClose('y', results.y, expected, { terms: 27 * 14 });
      const parts = results.moments.length / (2 * 3 * 10);
      for (let sample = 0; sample < 2; sample++)
        for (let c = 0; c < 10; c++) {
          const values = expected.data.filter((_, i) => i % 10 === c && Math.floor(i / (990 * 10)) === sample);
          const mean = values.reduce((sum, v) => sum + v, 0) / values.length;
          const variance = values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / values.length;
          const found = statistics(results.moments, parts, 10, sample, c);
          assert.is(found.count, values.length);
          assert.ok(Math.abs(found.mean - mean) < 1e-5 * Math.sqrt(variance), `${found.mean}, reference ${mean}`);
          assert.ok(Math.abs(found.variance - variance) < 1e-5 * variance, `${found.variance}, reference ${variance}`);
        }
    },
    { software: true, matrixUnit: unit, ...(unit !== matrixUnit && { wrap: (gpu) => emulated(gpu, unit) }) },
  );
}

run();
