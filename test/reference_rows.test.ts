/** Gradients of the reference loops over rows, of the losses, and the schedules, against central differences in float64. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { assertClose } from './compare.ts';
import { centralDifference, outputGradient } from './reference/central_difference.ts';
import { concat } from './reference/concat.ts';
import { crossEntropy, crossEntropyGrad } from './reference/cross_entropy.ts';
import { type Dense, random } from './reference/dense.ts';
import { dropout } from './reference/dropout.ts';
import { gather } from './reference/gather.ts';
import { erf, gelu, geluGrad, geluTanh, geluTanhGrad } from './reference/gelu.ts';
import { klDivergence, klDivergenceGrad } from './reference/kl_divergence.ts';
import { l2Normalize, l2NormalizeGrad } from './reference/l2_normalize.ts';
import { leakyRelu, leakyReluGrad } from './reference/leaky_relu.ts';
import { matmul, matmulGrad } from './reference/matmul.ts';
import { mul } from './reference/mul.ts';
import { mean, meanGrad, type Reduction, sum, sumGrad } from './reference/reduce.ts';
import { relu, reluGrad } from './reference/relu.ts';
import { scale } from './reference/scale.ts';
import { scatter } from './reference/scatter.ts';
import { poly, sigmoidRamp } from './reference/schedule.ts';
import { slice, sliceGrad } from './reference/slice.ts';
import { softDice, softDiceGrad } from './reference/soft_dice.ts';
import { logSoftmax, logSoftmaxGrad, softmax, softmaxGrad } from './reference/softmax.ts';
import { softmaxMse, softmaxMseGrad } from './reference/softmax_mse.ts';

const close = (name: string, gradient: Dense, numerical: Dense) =>
  assertClose(name, gradient.data, numerical, { absolute: 1e-8, terms: 1 });

test('activation gradients', () => {
  const x = random([5, 8], 1);
  const dy = outputGradient(x);
  close('leaky ReLU', leakyReluGrad(x, dy), centralDifference(leakyRelu, x, dy));
  close('ReLU', reluGrad(x, dy), centralDifference(relu, x, dy));
  close('GELU', geluGrad(x, dy), centralDifference(gelu, x, dy));
  close('GELU tanh', geluTanhGrad(x, dy), centralDifference(geluTanh, x, dy));
});

// python3 -c "import math; print([math.erf(x) for x in (0.1, 0.5, 1, 2, 3.5, 5)])"
test('erf to float64 precision', () => {
  const expected = [
    0.1124629160182849, 0.5204998778130465, 0.8427007929497149, 0.9953222650189527, 0.9999992569016276,
    0.9999999999984626,
  ];
  [0.1, 0.5, 1, 2, 3.5, 5].forEach((x, i) => {
    assert.ok(Math.abs(erf(x) - expected[i]) < 1e-15, `erf(${x}) = ${erf(x)}, expected ${expected[i]}`);
    assert.is(erf(-x), -erf(x));
  });
  assert.is(erf(0), 0);
});

test('mul, scale, concat, slice, dropout, gather and scatter gradients', () => {
  const [a, b] = [random([2, 3, 4], 1), random([2, 3, 4], 2)];
  const dy = outputGradient(a);
  close(
    'mul',
    mul(dy, b),
    centralDifference((v) => mul(v, b), a, dy),
  );
  close(
    'scale',
    scale(dy, -1.7),
    centralDifference((v) => scale(v, -1.7), a, dy),
  );
  const mask = [...a.data].map((v) => (v > -0.4 ? 1 : 0));
  close(
    'dropout',
    dropout(dy, mask, 0.3),
    centralDifference((v) => dropout(v, mask, 0.3), a, dy),
  );
  const wide = random([2, 3, 8], 3);
  close(
    'concat',
    slice(wide, 4, 8),
    centralDifference((v) => concat([a, v]), b, wide),
  );
  close(
    'slice',
    sliceGrad(dy, wide.shape, 2),
    centralDifference((v) => slice(v, 2, 6), wide, dy),
  );
  const [x, index] = [random([5, 3], 4), [3, 0, 3, 4]];
  const rows = random([4, 3], 5);
  close(
    'gather',
    scatter(rows, index, 5),
    centralDifference((v) => gather(v, index), x, rows),
  );
  close(
    'scatter',
    gather(x, index),
    centralDifference((v) => scatter(v, index, 5), rows, x),
  );
});

for (const transposeA of [false, true])
  for (const transposeB of [false, true])
    test(`matmul gradients, transposes ${transposeA} ${transposeB}`, () => {
      const options = { transposeA, transposeB };
      const a = random(transposeA ? [4, 3] : [3, 4], 1);
      const b = random(transposeB ? [5, 4] : [4, 5], 2);
      const dy = outputGradient(matmul(a, b, options));
      const { da, db } = matmulGrad(a, b, dy, options);
      close(
        'da',
        da,
        centralDifference((v) => matmul(v, b, options), a, dy),
      );
      close(
        'db',
        db,
        centralDifference((v) => matmul(a, v, options), b, dy),
      );
    });

test('L2 normalise gradient, above and below epsilon', () => {
  const x = random([8, 3], 1);
  const dy = outputGradient(x);
  const norms = [...sum(mul(x, x), 'last').data].map(Math.sqrt);
  assert.ok(norms.some((v) => v < 0.9) && norms.some((v) => v > 1.1));
  for (const epsilon of [1e-12, 1])
    close(
      `epsilon ${epsilon}`,
      l2NormalizeGrad(x, dy, epsilon),
      centralDifference((v) => l2Normalize(v, epsilon), x, dy),
    );
});

for (const reduction of ['all', 'last', 'channel', 'voxels'] as Reduction[])
  test(`sum and mean gradients over ${reduction}`, () => {
    const x = random([2, 2, 3, 2, 3], 1);
    const dy = outputGradient(sum(x, reduction));
    close(
      'sum',
      sumGrad(dy, x.shape, reduction),
      centralDifference((v) => sum(v, reduction), x, dy),
    );
    close(
      'mean',
      meanGrad(dy, x.shape, reduction),
      centralDifference((v) => mean(v, reduction), x, dy),
    );
  });

test('softmax and log softmax gradients', () => {
  const x = random([2, 3, 4], 1);
  const dy = outputGradient(x);
  close('softmax', softmaxGrad(softmax(x), dy), centralDifference(softmax, x, dy));
  close('log softmax', logSoftmaxGrad(logSoftmax(x), dy), centralDifference(logSoftmax, x, dy));
});

const logits = random([2, 2, 3, 2, 3], 1);
logits.data.forEach((v, i) => {
  logits.data[i] = 3 * v;
});
const labels = random([2, 2, 3, 2], 2).data.map((v) => Math.floor((v + 1) * 2) - 1);

test('cross-entropy gradients: ignored labels, weights a voxel and a sample', () => {
  assert.ok(labels.includes(-1) && labels.includes(2));
  const perVoxel = random([24], 3).data.map((v) => v + 1);
  for (const options of [{}, { ignore: 2 }, { weights: perVoxel }, { weights: [0.25, 1.75] }]) {
    const found = 'ignore' in options ? labels.map((v) => Math.abs(v)) : labels;
    close(
      'logits',
      crossEntropyGrad(logits, found, options),
      centralDifference((v) => crossEntropy(v, found, options), logits),
    );
  }
  assert.is(
    crossEntropy(
      logits,
      labels.map(() => -1),
    ),
    0,
  );
  assert.ok(
    crossEntropyGrad(
      logits,
      labels.map(() => -1),
    ).data.every((v) => v === 0),
  );
});

test('a sample weight is that weight at each of its voxels', () => {
  const spread = Array.from({ length: 24 }, (_, v) => (v < 12 ? 0.25 : 1.75));
  const a = crossEntropy(logits, labels, { weights: spread });
  assert.is(crossEntropy(logits, labels, { weights: [0.25, 1.75] }), a);
  assert.is.not(crossEntropy(logits, labels), a);
});

for (const squared of [true, false])
  for (const background of [true, false])
    test(`soft Dice gradient, squared ${squared}, background ${background}`, () => {
      const options = { squared, background };
      close(
        'logits',
        softDiceGrad(logits, labels, options),
        centralDifference((v) => softDice(v, labels, options), logits),
      );
    });

test('weighted soft Dice: its gradient; a weight of 2 is a voxel met twice, one of 0 is no voxel', () => {
  const weights = Array.from({ length: labels.length }, (_, v) => (v % 5) / 3);
  close(
    'logits',
    softDiceGrad(logits, labels, { weights }),
    centralDifference((v) => softDice(v, labels, { weights }), logits),
  );
  const [voxels, classes] = [labels.length, logits.data.length / labels.length];
  const chosen = Array.from({ length: voxels }, (_, v) => v).flatMap((v) => Array(v % 3).fill(v) as number[]);
  const copies: Dense = {
    shape: [chosen.length, classes],
    data: Float64Array.from(chosen.flatMap((v) => [...logits.data.subarray(v * classes, (v + 1) * classes)])),
  };
  const expected = softDice(
    copies,
    chosen.map((v) => labels[v]),
  );
  const found = softDice(logits, labels, { weights: Array.from({ length: voxels }, (_, v) => v % 3) });
  assert.ok(Math.abs(found - expected) < 1e-12, `${found}, expected ${expected}`);
});

test('KL gradient, and 0 at equal distributions', () => {
  const [teacher, student] = [random([4, 6], 1), random([4, 6], 2)];
  const dx = klDivergenceGrad(teacher, student, 0.05, 0.1);
  assertClose(
    'student',
    dx.data,
    centralDifference((v) => klDivergence(teacher, v, 0.05, 0.1), student),
    { absolute: 1e-7 },
  );
  assert.is(klDivergence(teacher, teacher, 0.1, 0.1), 0);
});

test('softmax MSE gradient, and 0 at equal logits', () => {
  const [a, b] = [random([4, 6], 1), random([4, 6], 2)];
  close(
    'a',
    softmaxMseGrad(a, b),
    centralDifference((v) => softmaxMse(v, b), a),
  );
  assert.is(softmaxMse(a, a), 0);
});

test('poly schedule with warm-up, and the sigmoid ramp', () => {
  const near = (actual: number, expected: number) => assert.ok(Math.abs(actual - expected) < 1e-15, `${actual}`);
  near(poly(0, 100, 0.3, 0.9, 20), 0.3 / 20);
  near(poly(10, 100, 0.3, 1, 20), 0.3 * 0.9 * (11 / 20));
  near(poly(50, 100, 0.3, 1, 20), 0.15);
  near(sigmoidRamp(0, 40), Math.exp(-5));
  near(sigmoidRamp(20, 40), Math.exp(-1.25));
  assert.equal([sigmoidRamp(40, 40), sigmoidRamp(90, 40), sigmoidRamp(0, 0)], [1, 1, 1]);
});

test.run();
