/** Convolutions on matrix units, each way at odd sizes; values are those that the kernels do not round. */
import * as assert from 'uvu/assert';
import { commandText } from '../../engine/command.ts';
import { conv3dJoined } from '../../engine/ops/conv3d.ts';
import { MATRIX_WAYS, type MatrixTile, matrices } from '../../engine/ops/conv3d_matrix.ts';
import type { Convolution } from '../../engine/ops/convolution.ts';
import { instanceNorm } from '../../engine/ops/norm.ts';
import { compute } from '../../engine/program.ts';
import { assertClose } from '../compare.ts';
import { gpuTest, matrixUnit, run, upload } from '../harness.ts';
import { concat } from '../reference/concat.ts';
import * as reference from '../reference/conv3d.ts';
import { type Dense, halves, random } from '../reference/dense.ts';
import { leakyRelu } from '../reference/leaky_relu.ts';
import * as norm from '../reference/norm.ts';
import { slice } from '../reference/slice.ts';
import { type MatrixCase, testMatrixWays } from './matrix_ways.ts';

const STRIDE = [1, 1, 1] as const;

const rounding = (problem: Omit<Convolution, 'stride' | 'products'>) => ({
  problem: { ...problem, stride: STRIDE, products: 'f16' } as const,
  output: problem.y,
});

function plain(): MatrixCase<Convolution> {
  const [x, w, bias] = [halves([2, 4, 7, 30, 14], 1), halves([3, 3, 3, 14, 20], 2), halves([20], 3)];
  const padding = [1, 1, 1] as const;
  return {
    name: 'with bias, channels that fill no matrix',
    expected: reference.conv3d(x, w, bias, { stride: STRIDE, padding }),
    make: (rec) =>
      rounding({
        ...{ kernel: [3, 3, 3], padding, transpose: false, flip: false },
        ...{ x: upload(rec.device, x, 'x'), w: upload(rec.device, w, 'w'), bias: upload(rec.device, bias, 'bias') },
        y: rec.tensor([2, 4, 7, 30, 20], 'y'),
      }),
  };
}

function adjoint(): MatrixCase<Convolution> {
  const [dy, w] = [halves([1, 15, 14, 10, 16], 4), halves([3, 1, 3, 72, 16], 5)];
  const dx = reference.conv3dGradInput(dy, w, [1, 15, 14, 10, 72], { stride: STRIDE, padding: [1, 0, 1] });
  return {
    name: 'an input gradient of some of the channels, no taps along y',
    expected: slice(dx, 12, 72),
    make: (rec) =>
      rounding({
        ...{ kernel: [3, 1, 3], padding: [1, 0, 1], transpose: true, flip: true, firstIn: 12 },
        ...{ x: upload(rec.device, dy, 'dy'), w: upload(rec.device, w, 'w') },
        y: rec.tensor([1, 15, 14, 10, 60], 'dx'),
      }),
  };
}

function joined(): MatrixCase<Convolution> {
  const [x, also, w] = [halves([1, 5, 6, 17, 12], 6), halves([1, 5, 6, 17, 19], 7), halves([3, 3, 3, 31, 16], 8)];
  return {
    name: 'of two tensors stored in bfloat16, no padding',
    expected: reference.conv3d(concat([x, also]), w, null, { stride: STRIDE, padding: [0, 0, 0] }),
    make: (rec) => {
      const stored = (value: Dense, label: string) =>
        rec.device.tensor(value.shape, label, { data: value.data, dtype: 'bf16' });
      return rounding({
        ...{ kernel: [3, 3, 3], padding: [0, 0, 0], transpose: false, flip: false },
        ...{ x: stored(x, 'x'), also: stored(also, 'also'), w: upload(rec.device, w, 'w') },
        y: rec.tensor([1, 3, 4, 15, 16], 'y'),
      });
    },
  };
}

testMatrixWays<MatrixTile, Convolution>({
  ...{ op: 'conv3d', all: MATRIX_WAYS, wayOf: matrices, cases: [plain(), adjoint(), joined()], terms: 27 * 31 },
  small: [
    { run: 2, rows: [1, 1], groups: [1, 1, 1], pad: 0 },
    { run: 1, rows: [1, 2], groups: [2, 1, 2], pad: 2 },
    { run: 0, rows: [2, 1], groups: [1, 2, 1], pad: 0 },
  ],
});

if (matrixUnit) {
  gpuTest(
    'a convolution takes matrix units only where it is told to, and reads through norms with them',
    async (device) => {
      const [x, gamma, beta] = [random([2, 5, 7, 18, 8], 1), random([8], 2), random([8], 3)];
      const [also, w] = [random([2, 5, 7, 18, 8], 4), random([3, 3, 3, 16, 16], 5)];
      const act = leakyRelu(norm.instanceNorm(x, gamma, beta).y, 0.1);
      const expected = reference.conv3d(concat([also, act]), w, null, { stride: STRIDE, padding: [1, 1, 1] });
      const kernels = { f16: '', f32: '' };
      const results = await compute(device, (rec) => {
        const dense = Object.entries({ x, gamma, beta, also, w });
        const t = Object.fromEntries(dense.map(([key, value]) => [key, upload(device, value, key)]));
        const out = (products: 'f16' | 'f32') => {
          const before = rec.commands.length;
          const activated = instanceNorm(rec, t.x, t.gamma, t.beta, { activation: { kind: 'leaky_relu', slope: 0.1 } });
          const y = conv3dJoined(rec, [t.also, activated], t.w, null, { padding: 1, products });
          kernels[products] = rec.commands.slice(before).map(commandText).join('\n');
          return y;
        };
        return { f16: out('f16'), f32: out('f32') };
      });
      assert.match(kernels.f16, /conv3d_matrix_333/);
      assert.not.match(kernels.f16, /norm_apply/, 'the activated tensor is not written');
      assert.not.match(kernels.f32, /matrix/);
      assertClose('float32 products', results.f32, expected, { terms: 27 * 16 * 4 });
      assertClose('float16 products', results.f16, expected, { relative: 2 ** 15, terms: 1 });
    },
    { software: false, matrixUnit },
  );
}

run();
