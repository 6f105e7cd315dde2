/** Weight gradients on matrix units, each way at odd sizes; values are those that the kernels do not round. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Device } from '../../engine/device.ts';
import type { MatrixUnit } from '../../engine/matrix_unit.ts';
import { GRAD_WEIGHT_MATRIX_WAYS, gradWeightMatrices } from '../../engine/ops/conv3d_grad_weight_matrix.ts';
import type { WeightGradient } from '../../engine/ops/convolution.ts';
import { instanceNorm } from '../../engine/ops/norm.ts';
import { compute } from '../../engine/program.ts';
import type { Triple } from '../../engine/shape.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { Way } from '../../engine/ways.ts';
import { assertClose } from '../compare.ts';
import { gpuTest, matrixUnit, run, upload } from '../harness.ts';
import { concat } from '../reference/concat.ts';
import * as reference from '../reference/conv3d.ts';
import { type Dense, random } from '../reference/dense.ts';
import { leakyRelu } from '../reference/leaky_relu.ts';
import * as norm from '../reference/norm.ts';
import { halves, saySkipped, testable } from './halves.ts';
import { emulateMatrices, NVIDIA, UNLIKE } from './matrix_emulation.ts';

interface Case {
  readonly name: string;
  readonly x: Dense;
  readonly dy: Dense;
  readonly kernel: Triple;
  readonly padding: Triple;
}

const CASES: readonly Case[] = [
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

/** Together they have everything that a tile can have. */
const SMALL = [
  { run: 2, rows: [2, 1], inputs: 1, outputs: 1 },
  { run: 1, rows: [1, 2], inputs: 1, outputs: 2 },
  { run: 0, rows: [1, 2], inputs: 2, outputs: 1 },
] as const;

/** Tests ways one by one on a unit, which is emulated where the adapter has another one or none. */
function testWays(unit: MatrixUnit, ways: readonly Way<WeightGradient>[]): void {
  const emulate = unit !== matrixUnit;
  const what = `${emulate ? 'emulated ' : ''}units ${unit.m} x ${unit.n} x ${unit.k}`;
  for (const [i, way] of ways.entries()) {
    gpuTest(
      `conv3d_grad_weight '${way.name}' on ${what} equals the reference`,
      async (device) => {
        for (let k = 0; k < CASES.length; k++) {
          const { name, x, dy, kernel, padding } = CASES[(i + k) % CASES.length];
          const [cin, cout] = [x.shape[4], dy.shape[4]];
          const options = { stride: [1, 1, 1] as Triple, padding };
          const to = device.tensor([...kernel, cin, cout], 'dw');
          let served = false;
          const results = await compute(device, (rec): Record<string, Tensor> => {
            const given = { x: upload(device, x, 'x'), dy: upload(device, dy, 'dy') };
            const problem: WeightGradient = { kernel, ...options, products: 'f16', ...given, dw: to };
            served = way.serves(device, problem);
            if (!served) return {};
            way.record(rec, problem);
            if (emulate) emulateMatrices(rec, unit);
            return { dw: to };
          });
          if (!served) continue;
          const expected = reference.conv3dGradWeight(x, dy, [...kernel, cin, cout], options);
          assertClose(`conv3d_grad_weight '${way.name}' on ${what} ${name}`, results.dw, expected, { terms: 3000 });
          return;
        }
        assert.unreachable(`${way.name} serves none of the cases, so nothing was tested`);
      },
      { software: true, matrixUnit: unit },
    );
  }
}

testWays(UNLIKE, GRAD_WEIGHT_MATRIX_WAYS);
NVIDIA.forEach((unit, i) => {
  testWays(unit, [gradWeightMatrices({ ...SMALL[i + 1], rows: [2, 2] })]);
});

if (!matrixUnit) {
  test('this adapter has no matrix units: none of the ways that use them serves a problem', () => {
    saySkipped('the weight gradient on matrix units');
    const problem = { products: 'f16' } as WeightGradient;
    assert.ok(GRAD_WEIGHT_MATRIX_WAYS.every((way) => !way.serves({ limits: {} } as Device, problem)));
  });
} else {
  testWays(matrixUnit, testable(matrixUnit, GRAD_WEIGHT_MATRIX_WAYS, SMALL.map(gradWeightMatrices)));

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
