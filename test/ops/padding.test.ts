import * as losses from '../../engine/nn/losses.ts';
import { concat } from '../../engine/ops/concat.ts';
import { dropout } from '../../engine/ops/dropout.ts';
import { add, mul, scale, scaleBy, sub } from '../../engine/ops/elementwise.ts';
import { gather, scatterAdd } from '../../engine/ops/gather.ts';
import { l2Normalize } from '../../engine/ops/l2_normalize.ts';
import { linear, matmul } from '../../engine/ops/matmul.ts';
import { columnMeans, columnSums, mean, rowSums, sampleMeans, sum } from '../../engine/ops/reduce.ts';
import { slice, sliceBatch } from '../../engine/ops/slice.ts';
import { logSoftmax, softmax } from '../../engine/ops/softmax.ts';
import type { Recording } from '../../engine/recording.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { gpuTest, run } from '../harness.ts';
import { checkPadding } from '../padding.ts';
import { type Dense, random } from '../reference/dense.ts';

type Op = (rec: Recording, t: Record<string, Tensor>) => Tensor;
const dense = (rec: Recording, data: number[], dtype: 'f32' | 'u32') =>
  rec.device.tensor([data.length], 'dense', { dtype, dense: true, data });
const labels = (rec: Recording) =>
  rec.device.tensor([6], 'labels', { dtype: 'u32', dense: true, data: [0, 1, 2, 9, 4, 5] });

const a = random([6, 7], 1);
const b = random([6, 7], 2);
const teacher = (rec: Recording) => rec.device.tensor([6, 7], 'teacher', { data: b.data });
const volume = random([2, 3, 1, 2, 5], 3);
const ops: [string, Record<string, Dense>, Op][] = [
  ['add', { a, b }, (rec, t) => add(rec, t.a, t.b)],
  ['sub', { a, b }, (rec, t) => sub(rec, t.a, t.b)],
  ['mul', { a, b }, (rec, t) => mul(rec, t.a, t.b)],
  ['scale', { a }, (rec, t) => scale(rec, t.a, 3)],
  ['scaleBy', { a }, (rec, t) => scaleBy(rec, t.a, dense(rec, [2], 'f32'), 0)],
  ['concat', { a, b }, (rec, t) => concat(rec, [t.a, t.b])],
  ['slice of whole vec4s', { a }, (rec, t) => slice(rec, t.a, 4, 7)],
  ['slice', { a }, (rec, t) => slice(rec, t.a, 2, 5)],
  ['sliceBatch', { volume }, (rec, t) => sliceBatch(rec, t.volume, 1, 2)],
  ['gather', { a }, (rec, t) => gather(rec, t.a, dense(rec, [5, 0, 5], 'u32'))],
  ['scatterAdd', { a }, (rec, t) => scatterAdd(rec, t.a, dense(rec, [1, 9, 1, 2, 8, 0], 'u32'), 10)],
  ['matmul', { a, b }, (rec, t) => matmul(rec, t.a, t.b, { transposeB: true })],
  ['matmul, first transposed', { a, b }, (rec, t) => matmul(rec, t.a, t.b, { transposeA: true })],
  ['linear', { volume, w: random([5, 9], 4), bias: random([9], 5) }, (rec, t) => linear(rec, t.volume, t.w, t.bias)],
  ['linear, split', { x: random([3, 901], 6), w: random([901, 3], 7) }, (rec, t) => linear(rec, t.x, t.w)],
  ['softmax', { a }, (rec, t) => softmax(rec, t.a)],
  ['logSoftmax', { a }, (rec, t) => logSoftmax(rec, t.a)],
  ['l2Normalize', { a }, (rec, t) => l2Normalize(rec, t.a)],
  ['columnSums', { volume }, (rec, t) => columnSums(rec, t.volume)],
  ['columnMeans', { volume }, (rec, t) => columnMeans(rec, t.volume)],
  ['sampleMeans', { volume }, (rec, t) => sampleMeans(rec, t.volume)],
  ['rowSums', { volume }, (rec, t) => rowSums(rec, t.volume)],
  ['sum', { volume }, (rec, t) => sum(rec, t.volume)],
  ['mean', { volume }, (rec, t) => mean(rec, t.volume)],
  ['dropout', { a }, (rec, t) => dropout(rec, t.a, 0.5, { counters: dense(rec, [1, 2], 'u32'), stream: 0 })],
  ['crossEntropy', { a }, (rec, t) => losses.crossEntropy(rec, t.a, labels(rec))],
  ['softDice', { a }, (rec, t) => losses.softDice(rec, t.a, labels(rec))],
  ['softDice, plain', { a }, (rec, t) => losses.softDice(rec, t.a, labels(rec), { squared: false })],
  ['diceCrossEntropy', { a }, (rec, t) => losses.diceCrossEntropy(rec, t.a, labels(rec)).loss],
  ['klDivergence', { a }, (rec, t) => losses.klDivergence(rec, t.a, teacher(rec))],
  ['softmaxMse', { a }, (rec, t) => losses.softmaxMse(rec, t.a, teacher(rec))],
];

for (const [name, inputs, op] of ops) {
  gpuTest(`${name} writes all it should and zeros behind the last channel`, (device) =>
    checkPadding(device, inputs, op),
  );
}

run();
