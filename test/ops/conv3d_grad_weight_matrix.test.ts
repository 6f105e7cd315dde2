/** Weight gradients on matrix units, each way at odd sizes; values are those that the kernels do not round. */
import * as assert from 'uvu/assert';
import {
  GRAD_WEIGHT_MATRIX_WAYS,
  type GradMatrixTile,
  gradWeightMatrices,
} from '../../engine/ops/conv3d_grad_weight_matrix.ts';
import type { WeightGradient } from '../../engine/ops/convolution.ts';
import { instanceNorm } from '../../engine/ops/norm.ts';
import { compute } from '../../engine/program.ts';
import type { Triple } from '../../engine/shape.ts';
import { assertClose } from '../compare.ts';
import { gpuTest, matrixUnit, run, upload } from '../harness.ts';
import { concat } from '../reference/concat.ts';
import * as reference from '../reference/conv3d.ts';
import { type Dense, halves, random } from '../reference/dense.ts';
import { leakyRelu } from '../reference/leaky_relu.ts';
import * as norm from '../reference/norm.ts';
import { type MatrixCase, testMatrixWays } from './matrix_ways.ts';

interface Shape {
  readonly name: string;
  readonly x: Dense;
  readonly dy: Dense;
  readonly kernel: Triple;
  readonly padding: Triple;
}

const SHAPES: readonly Shape[] = [
  {
    ...{ name: 'channels that fill no matrix', kernel: [3, 3, 3], padding: [1, 1, 1] },
    ...{ x: halves([2, 4, 7, 30, 14], 1), dy: halves([2, 4, 7, 30, 28], 2) },
  },
  {
    ...{ name: 'no taps along y', kernel: [3, 1, 3], padding: [1, 0, 1] },
    ...{ x: halves([1, 15, 14, 10, 28], 3), dy: halves([1, 15, 14, 10, 14], 4) },
  },
  {
    ...{ name: 'no padding, no taps along z', kernel: [1, 3, 3], padding: [0, 0, 0] },
    ...{ x: halves([2, 5, 17, 9, 14], 5), dy: halves([2, 5, 15, 7, 16], 6) },
  },
];

function caseOf({ name, x, dy, kernel, padding }: Shape): MatrixCase<WeightGradient> {
  const options = { stride: [1, 1, 1] as Triple, padding };
  const shape = [...kernel, x.shape[4], dy.shape[4]];
  return {
    name,
    expected: reference.conv3dGradWeight(x, dy, shape, options),
    make: (rec) => {
      const given = { x: upload(rec.device, x, 'x'), dy: upload(rec.device, dy, 'dy') };
      const output = rec.tensor(shape, 'dw');
      return { problem: { kernel, ...options, products: 'f16', ...given, dw: output }, output };
    },
  };
}

testMatrixWays<GradMatrixTile, WeightGradient>({
  ...{ op: 'conv3d_grad_weight', all: GRAD_WEIGHT_MATRIX_WAYS, wayOf: gradWeightMatrices, terms: 3000 },
  cases: SHAPES.map(caseOf),
  small: [
    { run: 2, rows: [2, 1], inputs: 1, outputs: 1 },
    { run: 1, rows: [1, 2], inputs: 1, outputs: 2 },
    { run: 0, rows: [1, 2], inputs: 2, outputs: 1 },
  ],
});

if (matrixUnit) {
  gpuTest(
    'a part of the input channels, read through a norm, goes to its place',
    async (device) => {
      const [x, gamma, beta] = [random([2, 3, 5, 9, 8], 1), random([8], 2), random([8], 3)];
      const [also, dy] = [halves([2, 3, 5, 9, 4], 4), halves([2, 3, 5, 9, 8], 5)];
      const options = { stride: [1, 1, 1] as Triple, padding: [0, 0, 1] as Triple };
      const kernel: Triple = [1, 1, 3];
      const act = leakyRelu(norm.instanceNorm(x, gamma, beta).y, 0.1);
      const expected = reference.conv3dGradWeight(concat([also, act]), dy, [...kernel, 12, 8], options);
      const way = gradWeightMatrices({ run: 2, rows: [1, 2], inputs: 1, outputs: 1 });
      const results = await compute(device, (rec) => {
        const dense = Object.entries({ x, gamma, beta, also, dy });
        const t = Object.fromEntries(dense.map(([key, value]) => [key, upload(device, value, key)]));
        const activated = instanceNorm(rec, t.x, t.gamma, t.beta, { activation: { kind: 'leaky_relu', slope: 0.1 } });
        const dw = device.tensor([...kernel, 12, 8], 'dw');
        const common = { kernel, ...options, products: 'f16' as const, dy: t.dy, dw };
        way.record(rec, { ...common, x: t.also });
        way.record(rec, { ...common, x: activated, firstIn: 4 });
        assert.ok(!rec.commands.some((c) => c.kind === 'dispatch' && c.kernel.name === 'norm_apply'));
        return { dw };
      });
      assertClose('dw', results.dw, expected, { relative: 2 ** 15, terms: 1 });
    },
    { software: false, matrixUnit },
  );
}

run();
