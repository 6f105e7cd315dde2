import * as assert from 'uvu/assert';
import type { Device, DeviceTraits } from '../../engine/device.ts';
import { conv3d } from '../../engine/ops/conv3d.ts';
import { columnMeans, columnSums, mean, rowSums, sampleMeans, sum } from '../../engine/ops/reduce.ts';
import { compute } from '../../engine/program.ts';
import { Recording } from '../../engine/recording.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { assertClose } from '../compare.ts';
import { checkOp, gpuTest, run, upload } from '../harness.ts';
import { type Dense, random } from '../reference/dense.ts';
import { meanGrad, mean as meanReference, type Reduction, sumGrad, sum as sumReference } from '../reference/reduce.ts';

/** All families of kernels run on every adapter. */
const families: [string, DeviceTraits][] = [
  ['GPUs', { software: false }],
  ['software', { software: true }],
];

type Op = (rec: Recording, x: Tensor) => Tensor;
type Case = [string, Op, 'sum' | 'mean', Reduction, (shape: number[]) => number[]];

const ops: Case[] = [
  ['sum', sum, 'sum', 'all', () => [1]],
  ['mean', mean, 'mean', 'all', () => [1]],
  ['columnSums', columnSums, 'sum', 'channel', (shape) => shape.slice(-1)],
  ['columnMeans', columnMeans, 'mean', 'channel', (shape) => shape.slice(-1)],
  ['sampleMeans', sampleMeans, 'mean', 'voxels', (shape) => [shape[0], shape[shape.length - 1]]],
  ['rowSums', rowSums, 'sum', 'last', (shape) => [...shape.slice(0, -1), 1]],
];

for (const shape of [
  [2, 3, 1, 5, 3],
  [1, 1, 1, 1, 4],
  [3, 7, 9, 11, 6],
  [2, 13, 37, 41, 1],
  [1, 1, 1, 97, 70],
  [2, 7, 23, 31, 18],
  [1, 2, 50, 51, 66],
]) {
  const x = random(shape, 8);
  for (const [name, op, kind, over, result] of ops) {
    const check = (device: Device) => {
      const shaped = (v: Dense): Dense => ({ shape: result(shape), data: v.data });
      const [forward, backward] = kind === 'sum' ? [sumReference, sumGrad] : [meanReference, meanGrad];
      const expected = shaped(forward(x, over));
      // Values in [-1, 1) cancel: a sum of n of them is no more exact than sqrt(n) roundings of its partial sums.
      const each = x.data.length / expected.data.length;
      const absolute = 1e-6 + (2 ** -21 * Math.sqrt(each)) / (kind === 'sum' ? 1 : each);
      return checkOp(device, name, {
        inputs: { x },
        op: (rec, t) => op(rec, t.x),
        expected,
        gradients: (dy) => ({ x: backward(dy, shape, over) }),
        tolerance: { absolute },
      });
    };
    for (const [family, traits] of families)
      gpuTest(`${name} of [${shape}] (kernels of ${family}) equals the reference, both ways`, check, traits);
  }
}

for (const [family, traits] of families) {
  gpuTest(
    `a sum of a million nearly equal values keeps its digits (kernels of ${family})`,
    async (device) => {
      const values = random([1000, 1000, 1], 9);
      const x = upload(device, { shape: values.shape, data: values.data.map((v) => Math.fround(1 + v / 1024)) }, 'x');
      const exact = values.data.reduce((total, v) => total + Math.fround(1 + v / 1024), 0);
      const { y } = await compute(device, (rec) => ({ y: sum(rec, x) }));
      assert.ok(Math.abs(y[0] / exact - 1) < 4e-7, `${y[0]} for ${exact}`);
    },
    traits,
  );

  gpuTest(
    `feature maps in bfloat16 are summed in float32 (kernels of ${family})`,
    async (device) => {
      const raw = random([2, 5, 31, 37, 5], 10);
      const x = { shape: raw.shape, data: raw.data.map((v) => Math.round(64 * v) / 64) };
      const identity = {
        shape: [1, 1, 1, 5, 5],
        data: Float64Array.from({ length: 25 }, (_, i) => Number(i % 6 === 0)),
      };
      const [from, w] = [upload(device, x, 'x'), upload(device, identity, 'identity')];
      const { y } = await compute(device, (rec) => {
        const stored = conv3d(rec, from, w, null, { store: 'bf16' });
        assert.is(stored.dtype, 'bf16');
        return { y: columnSums(rec, stored) };
      });
      assertClose('columnSums', y, sumReference(x, 'channel'));
    },
    traits,
  );
}

/** Dispatches that add up `x`, by the kernels' names. */
function kernelsOf(device: Device, shape: number[], op: Op): string[] {
  const rec = new Recording(device, 'counted');
  op(rec, device.tensor(shape, 'x'));
  return rec.commands.map((c) => (c.kind === 'dispatch' ? c.kernel.name : c.kind));
}

gpuTest(
  'GPUs sum rows in at most two dispatches',
  async (device) => {
    for (const [shape, op, expected] of [
      [[1, 1, 1, 1, 4], columnSums, ['column_sums']],
      [[1, 1, 1, 16, 300], columnSums, ['column_sums']],
      [[1, 1, 1, 17, 300], columnSums, ['column_tree']],
      [[1, 1, 1, 4096, 3], columnSums, ['column_tree']],
      [[1, 1, 1, 4097, 3], columnSums, ['column_tree', 'column_tree']],
      [[3, 1, 1, 4096, 3], sampleMeans, ['column_tree']],
      [[1, 1, 1, 4096, 5], sum, ['column_tree', 'total_tree']],
      [[1, 1, 1, 4000, 1], mean, ['total_tree']],
      [[1, 1, 1, 17, 4 * 65536], columnSums, ['column_sums']],
    ] as [number[], Op, string[]][])
      assert.equal(kernelsOf(device, shape, op), expected, `[${shape}]`);
  },
  { software: false },
);

gpuTest(
  'software adapters sum rows without workgroup memory',
  async (device) => {
    assert.equal(kernelsOf(device, [1, 1, 1, 20000, 3], columnSums), ['column_sums', 'column_sums', 'column_sums']);
    assert.equal(kernelsOf(device, [1, 1, 1, 256, 3], columnSums), ['column_sums']);
  },
  { software: true },
);

run();
