import * as assert from 'uvu/assert';
import { maxPool3d } from '../../engine/ops/max_pool3d.ts';
import { Recording } from '../../engine/recording.ts';
import { checkOp, gpuTest, run } from '../harness.ts';
import { checkPadding } from '../padding.ts';
import { dense, random, type Triple } from '../reference/dense.ts';
import * as reference from '../reference/max_pool3d.ts';

const kernels: Triple[] = [
  [2, 2, 2],
  [1, 2, 2],
  [3, 1, 2],
  [1, 1, 1],
];

for (const shape of [
  [2, 4, 6, 8, 4],
  [1, 5, 7, 9, 3],
  [2, 3, 2, 5, 9],
])
  for (const kernel of kernels)
    gpuTest(`max_pool3d ${kernel} of [${shape}] equals the reference, both ways`, async (device) => {
      const x = random(shape, 1);
      // Few values, so that most windows have several maxima.
      const tied = dense(
        shape,
        x.data.map((v) => Math.round(v * 2) / 2),
      );
      for (const value of [x, tied]) {
        await checkOp(device, 'max_pool3d', {
          inputs: { x: value },
          op: (rec, t) => maxPool3d(rec, t.x, kernel),
          expected: reference.maxPool3d(value, kernel),
          gradients: (dy) => ({ x: reference.maxPool3dGrad(value, dy, kernel) }),
        });
      }
    });

gpuTest('one number is a cube', (device) => {
  const x = random([1, 4, 4, 4, 2], 1);
  return checkOp(device, 'max_pool3d', {
    inputs: { x },
    op: (rec, t) => maxPool3d(rec, t.x, 2),
    expected: reference.maxPool3d(x, [2, 2, 2]),
    gradients: (dy) => ({ x: reference.maxPool3dGrad(x, dy, [2, 2, 2]) }),
  });
});

gpuTest('padding stays zero, voxels of cut-off windows get no gradient', (device) =>
  checkPadding(device, { x: random([2, 5, 7, 9, 3], 1) }, (rec, t) => maxPool3d(rec, t.x, [2, 2, 2])),
);

gpuTest('a window larger than the volume is refused', async (device) => {
  const x = device.tensor([1, 1, 4, 4, 2], 'x');
  assert.throws(
    () => maxPool3d(new Recording(device, 'refused'), x, 2),
    /max_pool3d: windows of \[2, 2, 2\] voxels \[z, y, x\] do not fit 'x' \[1, 1, 4, 4, 2\]/,
  );
});

run();
