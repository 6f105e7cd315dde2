import * as assert from 'uvu/assert';
import { crossEntropy } from '../../engine/ops/cross_entropy.ts';
import { Recording } from '../../engine/recording.ts';
import { cases, readFixture } from '../fixtures/torch/fixture.ts';
import { checkOp, gpuTest, run, upload } from '../harness.ts';
import { crossEntropyGrad, crossEntropy as crossEntropyReference } from '../reference/cross_entropy.ts';
import { type Dense, random } from '../reference/dense.ts';
import { scale } from '../reference/scale.ts';
import { randomLabels, uploadLabels } from './labels.ts';

const scalar = (value: number): Dense => ({ shape: [1], data: Float64Array.of(value) });

for (const shape of [
  [2, 3, 4, 5, 3],
  [1, 2, 3, 3, 4],
  [2, 1, 7, 5, 2],
  [1, 3, 2, 2, 14],
  [2, 5, 3, 2, 37],
  [6, 513],
  [2, 17, 33, 35, 2],
]) {
  const classes = shape[shape.length - 1];
  const voxels = shape.slice(0, -1);
  const logits = scale(random(shape, 1), 5);
  logits.data = logits.data.map(Math.fround);
  const labels = randomLabels(logits.data.length / classes, classes, 2);
  for (const [name, weights] of [
    ['', undefined],
    [' with a weight a sample', random([shape[0]], 3).data],
  ] as const) {
    gpuTest(`cross_entropy [${shape}]${name} equals the reference, both ways`, (device) => {
      const factors = weights && device.tensor([shape[0]], 'weights', { dense: true, data: weights });
      return checkOp(device, 'cross_entropy', {
        inputs: { logits },
        op: (rec, t) => crossEntropy(rec, t.logits, uploadLabels(device, voxels, labels), { weights: factors }),
        expected: scalar(crossEntropyReference(logits, labels, { weights })),
        gradients: (dy) => ({ logits: scale(crossEntropyGrad(logits, labels, { weights }), dy.data[0]) }),
        tolerance: { absolute: 2e-6 },
        gradientTolerance: { absolute: 1e-9, terms: 64 },
      });
    });
  }
  gpuTest(`cross_entropy [${shape}] leaves an ignored class out`, (device) =>
    checkOp(device, 'cross_entropy', {
      inputs: { logits },
      op: (rec, t) =>
        crossEntropy(rec, t.logits, uploadLabels(device, voxels, labels.map(Math.abs)), { ignoreLabel: 1 }),
      expected: scalar(crossEntropyReference(logits, labels.map(Math.abs), { ignore: 1 })),
      gradients: (dy) => ({
        logits: scale(crossEntropyGrad(logits, labels.map(Math.abs), { ignore: 1 }), dy.data[0]),
      }),
      tolerance: { absolute: 2e-6 },
      gradientTolerance: { absolute: 1e-9, terms: 64 },
    }),
  );
}

const spread = {
  shape: [3, 5],
  data: Float64Array.from([9e3, -9e3, 0, 8999, 1, -2e4, -2e4, -2e4, -2e4, -2e4, 1, 2, 3, 4, 5]),
};
gpuTest('logits thousands apart give finite losses and gradients', (device) =>
  checkOp(device, 'cross_entropy', {
    inputs: { x: spread },
    op: (rec, t) => crossEntropy(rec, t.x, uploadLabels(device, [3], [1, 2, 3])),
    expected: scalar(crossEntropyReference(spread, [1, 2, 3])),
    gradients: (dy) => ({ x: scale(crossEntropyGrad(spread, [1, 2, 3]), dy.data[0]) }),
  }),
);

const logits = random([2, 2, 2, 2, 3], 4);
gpuTest('no valid voxel: loss and gradient are zero', (device) =>
  checkOp(device, 'cross_entropy', {
    inputs: { logits },
    op: (rec, t) => crossEntropy(rec, t.logits, uploadLabels(device, [2, 2, 2, 2], new Int32Array(16).fill(-1))),
    expected: scalar(0),
    gradients: () => ({ logits: scale(logits, 0) }),
    tolerance: { absolute: 0 },
  }),
);

for (const fixture of cases(readFixture('ops'), 'cross_entropy')) {
  const x = fixture.get('logits');
  const labels = fixture.get('labels');
  gpuTest(`${fixture.name} equals PyTorch, both ways`, (device) => {
    const weights = fixture.name === 'cross_entropy.ignore' ? undefined : fixture.get('weights');
    const factors = weights && device.tensor([weights.data.length], 'weights', { dense: true, data: weights.data });
    return checkOp(device, fixture.name, {
      inputs: { x },
      op: (rec, t) => crossEntropy(rec, t.x, uploadLabels(device, labels.shape, labels.data), { weights: factors }),
      expected: scalar(fixture.get('y').data[0]),
      gradients: (dy) => ({ x: scale(fixture.get('dlogits'), dy.data[0] / fixture.get('dy').data[0]) }),
    });
  });
}

gpuTest('labels of another size or type are an error that shows both shapes', async (device) => {
  const x = upload(device, logits, 'logits');
  const rec = new Recording(device, 'errors');
  assert.throws(() => crossEntropy(rec, x, uploadLabels(device, [2, 2, 2], new Int32Array(8))), /\[2, 2, 2\].*16 rows/);
  assert.throws(() => crossEntropy(rec, x, device.tensor([16], 'floats', { dense: true })), /floats.*f32.*dense u32/);
});

run();
