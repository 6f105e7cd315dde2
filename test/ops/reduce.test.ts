import * as assert from 'uvu/assert';
import { columnMeans, columnSums, mean, rowSums, sampleMeans, sum } from '../../engine/ops/reduce.ts';
import { compute } from '../../engine/program.ts';
import type { Recording } from '../../engine/recording.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { checkOp, gpuTest, run, upload } from '../harness.ts';
import { type Dense, random } from '../reference/dense.ts';
import { meanGrad, mean as meanReference, type Reduction, sumGrad, sum as sumReference } from '../reference/reduce.ts';

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
]) {
  const x = random(shape, 8);
  for (const [name, op, kind, over, result] of ops) {
    gpuTest(`${name} of [${shape}] equals the reference, both ways`, (device) => {
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
    });
  }
}

gpuTest('a sum of a million nearly equal values keeps its digits', async (device) => {
  const values = random([1000, 1000, 1], 9);
  const x = upload(device, { shape: values.shape, data: values.data.map((v) => Math.fround(1 + v / 1024)) }, 'x');
  const exact = values.data.reduce((total, v) => total + Math.fround(1 + v / 1024), 0);
  const { y } = await compute(device, (rec) => ({ y: sum(rec, x) }));
  assert.ok(Math.abs(y[0] / exact - 1) < 4e-7, `${y[0]} for ${exact}`);
});

run();
