/** Gradients of the reference loops over volumes against central differences in float64. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { assertClose } from './compare.ts';
import { avgPool3d, avgPool3dGrad } from './reference/avg_pool3d.ts';
import { centralDifference, outputGradient } from './reference/central_difference.ts';
import {
  convTranspose3d,
  convTranspose3dGradBias,
  convTranspose3dGradInput,
  convTranspose3dGradWeight,
} from './reference/conv_transpose3d.ts';
import { conv3d, conv3dGradBias, conv3dGradInput, conv3dGradWeight } from './reference/conv3d.ts';
import { type Dense, random, type Triple } from './reference/dense.ts';
import { maxPool3d, maxPool3dGrad } from './reference/max_pool3d.ts';
import {
  batchNorm,
  batchNormEval,
  batchNormEvalGrad,
  batchNormGrad,
  groupNorm,
  groupNormGrad,
  instanceNorm,
  instanceNormGrad,
} from './reference/norm.ts';
import { resize3d, resize3dGrad } from './reference/resize3d.ts';

const close = (name: string, gradient: Dense, numerical: Dense) =>
  assertClose(name, gradient.data, numerical, { absolute: 1e-8, terms: 1 });

const kernels: [Triple, Triple, Triple][] = [
  [
    [3, 3, 3],
    [1, 1, 1],
    [1, 1, 1],
  ],
  [
    [2, 2, 2],
    [2, 2, 2],
    [0, 0, 0],
  ],
  [
    [1, 1, 1],
    [1, 1, 1],
    [0, 0, 0],
  ],
  [
    [1, 3, 3],
    [1, 2, 2],
    [0, 1, 1],
  ],
  [
    [3, 2, 1],
    [2, 1, 2],
    [1, 0, 0],
  ],
  [
    [3, 3, 3],
    [2, 2, 2],
    [1, 1, 1],
  ],
];

for (const [kernel, stride, padding] of kernels) {
  const options = { stride, padding };
  const bias = random([2], 3);

  test(`conv3d gradients, kernel ${kernel} stride ${stride} padding ${padding}`, () => {
    const [x, w] = [random([2, 3, 4, 5, 3], 1), random([...kernel, 3, 2], 2)];
    const dy = outputGradient(conv3d(x, w, bias, options));
    close(
      'dx',
      conv3dGradInput(dy, w, x.shape, options),
      centralDifference((v) => conv3d(v, w, bias, options), x, dy),
    );
    close(
      'dw',
      conv3dGradWeight(x, dy, w.shape, options),
      centralDifference((v) => conv3d(x, v, bias, options), w, dy),
    );
    close(
      'db',
      conv3dGradBias(dy),
      centralDifference((v) => conv3d(x, w, v, options), bias, dy),
    );
  });

  test(`conv_transpose3d gradients, kernel ${kernel} stride ${stride} padding ${padding}`, () => {
    const [x, w] = [random([2, 2, 3, 3, 3], 1), random([...kernel, 3, 2], 2)];
    const dy = outputGradient(convTranspose3d(x, w, bias, options));
    const [f, shape] = [convTranspose3d, w.shape];
    close(
      'dx',
      convTranspose3dGradInput(dy, w, x.shape, options),
      centralDifference((v) => f(v, w, bias, options), x, dy),
    );
    close(
      'dw',
      convTranspose3dGradWeight(x, dy, shape, options),
      centralDifference((v) => f(x, v, bias, options), w, dy),
    );
    close(
      'db',
      convTranspose3dGradBias(dy),
      centralDifference((v) => f(x, w, v, options), bias, dy),
    );
  });
}

test('conv_transpose3d is the adjoint of conv3d with the channels swapped', () => {
  const options = { stride: [2, 1, 2] as Triple, padding: [1, 0, 1] as Triple };
  const [x, w] = [random([1, 3, 3, 3, 4], 1), random([3, 2, 3, 4, 2], 2)];
  const swapped = random([3, 2, 3, 2, 4], 2);
  for (let t = 0; t < 18; t++)
    for (let a = 0; a < 4; a++) for (let b = 0; b < 2; b++) swapped.data[t * 8 + b * 4 + a] = w.data[t * 8 + a * 2 + b];
  const y = convTranspose3d(x, w, null, options);
  assert.equal(y.shape, [1, 5, 4, 5, 2]);
  close('y', conv3dGradInput(x, swapped, y.shape, options), y);
});

const norms = {
  instance: { f: instanceNorm, grad: instanceNormGrad },
  'group 2': {
    f: (x: Dense, g: Dense, b: Dense) => groupNorm(x, g, b, 2),
    grad: (x: Dense, g: Dense, dy: Dense) => groupNormGrad(x, g, dy, 2),
  },
  batch: { f: batchNorm, grad: batchNormGrad },
};

for (const [name, { f, grad }] of Object.entries(norms)) {
  test(`${name} norm gradients`, () => {
    const [x, gamma, beta] = [random([2, 2, 3, 3, 4], 1), random([4], 2), random([4], 3)];
    const dy = outputGradient(x);
    const { dx, dgamma, dbeta } = grad(x, gamma, dy);
    close(
      'dx',
      dx,
      centralDifference((v) => f(v, gamma, beta).y, x, dy),
    );
    close(
      'dgamma',
      dgamma,
      centralDifference((v) => f(x, v, beta).y, gamma, dy),
    );
    close(
      'dbeta',
      dbeta,
      centralDifference((v) => f(x, gamma, v).y, beta, dy),
    );
  });
}

test('batch norm gradients in eval mode', () => {
  const [x, gamma, beta, mean] = [random([2, 2, 2, 3, 3], 1), random([3], 2), random([3], 3), random([3], 4)];
  const variance = { shape: [3], data: random([3], 5).data.map((v) => 1.5 + v) };
  const dy = outputGradient(x);
  const { dx, dgamma, dbeta } = batchNormEvalGrad(x, gamma, dy, mean, variance);
  close(
    'dx',
    dx,
    centralDifference((v) => batchNormEval(v, gamma, beta, mean, variance), x, dy),
  );
  close(
    'dgamma',
    dgamma,
    centralDifference((v) => batchNormEval(x, v, beta, mean, variance), gamma, dy),
  );
  close(
    'dbeta',
    dbeta,
    centralDifference((v) => batchNormEval(x, gamma, v, mean, variance), beta, dy),
  );
});

for (const kernel of [
  [2, 2, 2],
  [1, 2, 2],
  [3, 1, 2],
] as Triple[])
  test(`pooling gradients, kernel ${kernel}, with a rest at the end of each axis`, () => {
    const x = random([2, 4, 5, 5, 3], 1);
    const dy = outputGradient(maxPool3d(x, kernel));
    close(
      'max',
      maxPool3dGrad(x, dy, kernel),
      centralDifference((v) => maxPool3d(v, kernel), x, dy),
    );
    close(
      'avg',
      avgPool3dGrad(dy, x.shape, kernel),
      centralDifference((v) => avgPool3d(v, kernel), x, dy),
    );
  });

test('the first maximum in z, y, x order takes the gradient', () => {
  const x = random([1, 2, 2, 2, 1], 1);
  x.data.set([0, 0, 3, 0, 3, 0, 0, 3]);
  const dx = maxPool3dGrad(x, { shape: [1, 1, 1, 1, 1], data: Float64Array.of(5) }, [2, 2, 2]);
  assert.equal([...dx.data], [0, 0, 5, 0, 0, 0, 0, 0]);
});

for (const alignCorners of [true, false])
  for (const size of [
    [4, 6, 8],
    [3, 5, 7],
    [2, 2, 3],
    [1, 9, 1],
    [2, 3, 4],
  ] as Triple[])
    test(`resize3d gradient to ${size}, align corners ${alignCorners}`, () => {
      const x = random([2, 2, 3, 4, 2], 1);
      const y = resize3d(x, size, alignCorners);
      const dy = outputGradient(y);
      const dx = resize3dGrad(dy, x.shape, alignCorners);
      close(
        'dx',
        dx,
        centralDifference((v) => resize3d(v, size, alignCorners), x, dy),
      );
      if (size[0] === 2 && size[1] === 3 && size[2] === 4) close('identity', y, x);
    });

test.run();
