/** The float64 reference loops against PyTorch's results (fixtures/torch/ops.py), forward and gradients, to 1e-5. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { assertClose } from './compare.ts';
import { type CaseOptions, cases, readFixture } from './fixtures/torch/fixture.ts';
import { adamw } from './reference/adamw.ts';
import { add } from './reference/add.ts';
import { avgPool3d, avgPool3dGrad } from './reference/avg_pool3d.ts';
import { clipByGlobalNorm } from './reference/clip.ts';
import { concat } from './reference/concat.ts';
import {
  convTranspose3d,
  convTranspose3dGradBias,
  convTranspose3dGradInput,
  convTranspose3dGradWeight,
} from './reference/conv_transpose3d.ts';
import { conv3d, conv3dGradBias, conv3dGradInput, conv3dGradWeight } from './reference/conv3d.ts';
import { crossEntropy, crossEntropyGrad } from './reference/cross_entropy.ts';
import { type Dense, dense } from './reference/dense.ts';
import { dropout } from './reference/dropout.ts';
import { ema } from './reference/ema.ts';
import { gather } from './reference/gather.ts';
import { gelu, geluGrad, geluTanh, geluTanhGrad } from './reference/gelu.ts';
import { klDivergence, klDivergenceGrad } from './reference/kl_divergence.ts';
import { l2Normalize, l2NormalizeGrad } from './reference/l2_normalize.ts';
import { leakyRelu, leakyReluGrad } from './reference/leaky_relu.ts';
import { matmul, matmulGrad } from './reference/matmul.ts';
import { maxPool3d, maxPool3dGrad } from './reference/max_pool3d.ts';
import { mul } from './reference/mul.ts';
import * as norm from './reference/norm.ts';
import { mean, meanGrad, type Reduction, sum, sumGrad } from './reference/reduce.ts';
import { relu, reluGrad } from './reference/relu.ts';
import { resize3d, resize3dGrad } from './reference/resize3d.ts';
import { scale } from './reference/scale.ts';
import { scatter } from './reference/scatter.ts';
import { poly } from './reference/schedule.ts';
import { sgd } from './reference/sgd.ts';
import { slice, sliceGrad } from './reference/slice.ts';
import { softDice, softDiceGrad } from './reference/soft_dice.ts';
import { logSoftmax, logSoftmaxGrad, softmax, softmaxGrad } from './reference/softmax.ts';
import { softmaxMse, softmaxMseGrad } from './reference/softmax_mse.ts';

const fixture = readFixture('ops');

type Get = (tensor: string) => Dense;
/** What a loop says each of the case's tensors should be. */
type Found = Record<string, Dense | number>;

function check(op: string, run: (get: Get, options: CaseOptions) => Found) {
  const found = cases(fixture, op);
  test(`${op}: ${found.length} cases`, () => {
    assert.ok(found.length > 0);
    for (const { name, options, get } of found)
      for (const [tensor, value] of Object.entries(run(get, options))) {
        const values = typeof value === 'number' ? dense([], [value]) : value;
        assert.equal(values.shape, get(tensor).shape, `${name}/${tensor}`);
        assertClose(`${name}/${tensor}`, values.data, get(tensor), { absolute: 1e-5, relative: 0 });
      }
  });
}

check('conv3d', (t, o) => ({
  y: conv3d(t('x'), t('w'), t('b'), o),
  dx: conv3dGradInput(t('dy'), t('w'), t('x').shape, o),
  dw: conv3dGradWeight(t('x'), t('dy'), t('w').shape, o),
  db: conv3dGradBias(t('dy')),
}));

check('conv_transpose3d', (t, o) => ({
  y: convTranspose3d(t('x'), t('w'), t('b'), o),
  dx: convTranspose3dGradInput(t('dy'), t('w'), t('x').shape, o),
  dw: convTranspose3dGradWeight(t('x'), t('dy'), t('w').shape, o),
  db: convTranspose3dGradBias(t('dy')),
}));

check('instance_norm', (t) => ({
  y: norm.instanceNorm(t('x'), t('gamma'), t('beta')).y,
  ...norm.instanceNormGrad(t('x'), t('gamma'), t('dy')),
}));

check('group_norm', (t, { groups }) => ({
  y: norm.groupNorm(t('x'), t('gamma'), t('beta'), groups).y,
  ...norm.groupNormGrad(t('x'), t('gamma'), t('dy'), groups),
}));

check('batch_norm.train', (t) => {
  const batch = norm.batchNorm(t('x'), t('gamma'), t('beta'));
  const running = { mean: t('mean'), variance: t('variance') };
  const after = norm.batchNormRunning(running, batch, t('x').data.length / t('mean').data.length);
  const gradients = norm.batchNormGrad(t('x'), t('gamma'), t('dy'));
  return { y: batch.y, mean_after: after.mean, variance_after: after.variance, ...gradients };
});

check('batch_norm.eval', (t) => ({
  y: norm.batchNormEval(t('x'), t('gamma'), t('beta'), t('mean'), t('variance')),
  ...norm.batchNormEvalGrad(t('x'), t('gamma'), t('dy'), t('mean'), t('variance')),
}));

check('max_pool3d', (t, { kernel }) => ({
  y: maxPool3d(t('x'), kernel),
  dx: maxPool3dGrad(t('x'), t('dy'), kernel),
}));

check('avg_pool3d', (t, { kernel }) => ({
  y: avgPool3d(t('x'), kernel),
  dx: avgPool3dGrad(t('dy'), t('x').shape, kernel),
}));

check('resize3d', (t, { size, alignCorners }) => ({
  y: resize3d(t('x'), size, alignCorners),
  dx: resize3dGrad(t('dy'), t('x').shape, alignCorners),
}));

check('leaky_relu', (t, { slope }) => ({ y: leakyRelu(t('x'), slope), dx: leakyReluGrad(t('x'), t('dy'), slope) }));
check('relu', (t) => ({ y: relu(t('x')), dx: reluGrad(t('x'), t('dy')) }));
check('gelu.erf', (t) => ({ y: gelu(t('x')), dx: geluGrad(t('x'), t('dy')) }));
check('gelu.tanh', (t) => ({ y: geluTanh(t('x')), dx: geluTanhGrad(t('x'), t('dy')) }));
check('add', (t) => ({ y: add(t('a'), t('b')), da: t('dy'), db: t('dy') }));
check('mul', (t) => ({ y: mul(t('a'), t('b')), da: mul(t('dy'), t('b')), db: mul(t('dy'), t('a')) }));
check('scale', (t, { factor }) => ({ y: scale(t('x'), factor), dx: scale(t('dy'), factor) }));
check('concat', (t) => ({ y: concat([t('a'), t('b')]), da: slice(t('dy'), 0, 3), db: slice(t('dy'), 3, 5) }));
check('slice', (t, { from, to }) => ({ y: slice(t('x'), from, to), dx: sliceGrad(t('dy'), t('x').shape, from) }));
check('dropout', (t, { p }) => ({ y: dropout(t('x'), t('mask').data, p), dx: dropout(t('dy'), t('mask').data, p) }));
check('gather', (t) => ({
  y: gather(t('x'), t('index').data),
  dx: scatter(t('dy'), t('index').data, t('x').shape[0]),
}));
check('scatter', (t, { rows }) => ({
  y: scatter(t('x'), t('index').data, rows),
  dx: gather(t('dy'), t('index').data),
}));
check('matmul', (t, o) => ({ y: matmul(t('a'), t('b'), o), ...matmulGrad(t('a'), t('b'), t('dy'), o) }));
check('softmax', (t) => ({ y: softmax(t('x')), dx: softmaxGrad(softmax(t('x')), t('dy')) }));
check('log_softmax', (t) => ({ y: logSoftmax(t('x')), dx: logSoftmaxGrad(logSoftmax(t('x')), t('dy')) }));
check('l2_normalize', (t, { epsilon }) => ({
  y: l2Normalize(t('x'), epsilon),
  dx: l2NormalizeGrad(t('x'), t('dy'), epsilon),
}));

for (const reduction of ['all', 'last', 'channel'] as Reduction[])
  check(`reduce.sum_${reduction}`, (t) => ({
    y: sum(t('x'), reduction),
    dx: sumGrad(t('dy'), t('x').shape, reduction),
  }));
for (const reduction of ['all', 'last', 'channel', 'voxels'] as Reduction[])
  check(`reduce.mean_${reduction}`, (t) => ({
    y: mean(t('x'), reduction),
    dx: meanGrad(t('dy'), t('x').shape, reduction),
  }));

for (const variant of ['ignore', 'voxel', 'sample'])
  check(`cross_entropy.${variant}`, (t, { ignore }) => {
    const options = { ignore, weights: variant === 'ignore' ? undefined : t('weights').data };
    return {
      y: crossEntropy(t('logits'), t('labels').data, options),
      dlogits: crossEntropyGrad(t('logits'), t('labels').data, options),
    };
  });

check('soft_dice', (t, o) => ({
  y: softDice(t('logits'), t('labels').data, o),
  dlogits: softDiceGrad(t('logits'), t('labels').data, o),
}));

check('kl_divergence', (t, o) => ({
  y: klDivergence(t('teacher'), t('student'), o.temperatureT, o.temperatureS),
  dstudent: klDivergenceGrad(t('teacher'), t('student'), o.temperatureT, o.temperatureS),
}));

check('softmax_mse', (t) => ({ y: softmaxMse(t('a'), t('b')), da: softmaxMseGrad(t('a'), t('b')) }));

/** Weights after each of the case's steps, from a function that updates them in place. */
function steps(t: Get, update: (weights: Float64Array, grad: Float64Array, step: number) => void): Dense {
  const [count, n] = t('g').shape;
  const weights = t('w').data.slice();
  const after = dense(
    t('y').shape,
    t('y').data.map(() => 0),
  );
  for (let s = 0; s < count; s++) {
    update(weights, t('g').data.subarray(s * n, (s + 1) * n), s);
    after.data.set(weights, s * n);
  }
  return after;
}

check('sgd', (t, o) => {
  const velocity = new Float64Array(t('w').data.length);
  return { y: steps(t, (weights, grad) => sgd(weights, velocity, grad, o)) };
});

check('adamw', (t, o) => {
  const [first, second] = [new Float64Array(t('w').data.length), new Float64Array(t('w').data.length)];
  return { y: steps(t, (weights, grad, step) => adamw(weights, first, second, grad, step + 1, o)) };
});

check('clip', (t, { maxNorm }) => {
  const [a, b] = [dense(t('a').shape, t('a').data), dense(t('b').shape, t('b').data)];
  return { norm: clipByGlobalNorm([a.data, b.data], maxNorm), a_after: a, b_after: b };
});

check('ema', (t, { decay }) => {
  const teacher = dense(t('teacher').shape, t('teacher').data);
  ema(teacher.data, t('student').data, decay);
  return { y: teacher };
});

check('poly', (t, { rate, power }) => ({
  y: dense(
    t('y').shape,
    Array.from(t('y').data, (_, step) => poly(step, t('y').data.length, rate, power)),
  ),
}));

test.run();
