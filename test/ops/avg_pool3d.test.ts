import * as assert from 'uvu/assert';
import { avgPool3d } from '../../engine/ops/avg_pool3d.ts';
import { Recording } from '../../engine/recording.ts';
import { checkOp, gpuTest, run } from '../harness.ts';
import { checkPadding } from '../padding.ts';
import * as reference from '../reference/avg_pool3d.ts';
import { random, type Triple } from '../reference/dense.ts';

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
    gpuTest(`avg_pool3d ${kernel} of [${shape}] equals the reference, both ways`, (device) => {
      const x = random(shape, 1);
      return checkOp(device, 'avg_pool3d', {
        inputs: { x },
        op: (rec, t) => avgPool3d(rec, t.x, kernel),
        expected: reference.avgPool3d(x, kernel),
        gradients: (dy) => ({ x: reference.avgPool3dGrad(dy, shape, kernel) }),
      });
    });

gpuTest('one number is a cube', (device) => {
  const x = random([1, 4, 4, 4, 2], 1);
  return checkOp(device, 'avg_pool3d', {
    inputs: { x },
    op: (rec, t) => avgPool3d(rec, t.x, 2),
    expected: reference.avgPool3d(x, [2, 2, 2]),
    gradients: (dy) => ({ x: reference.avgPool3dGrad(dy, x.shape, [2, 2, 2]) }),
  });
});

gpuTest('padding stays zero, voxels of cut-off windows get no gradient', (device) =>
  checkPadding(device, { x: random([2, 5, 7, 9, 3], 1) }, (rec, t) => avgPool3d(rec, t.x, [2, 2, 2])),
);

gpuTest('a window larger than the volume is refused', async (device) => {
  const x = device.tensor([1, 1, 4, 4, 2], 'x');
  assert.throws(
    () => avgPool3d(new Recording(device, 'refused'), x, 2),
    /avg_pool3d: windows of \[2, 2, 2\] voxels \[z, y, x\] do not fit 'x' \[1, 1, 4, 4, 2\]/,
  );
});

run();
