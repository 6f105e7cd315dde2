import * as assert from 'uvu/assert';
import { entropy } from '../../engine/ops/entropy.ts';
import { compute } from '../../engine/program.ts';
import { assertClose } from '../compare.ts';
import { gpuTest, run, upload } from '../harness.ts';
import { dense, random } from '../reference/dense.ts';
import { entropy as entropyReference } from '../reference/entropy.ts';
import { scale } from '../reference/scale.ts';
import { softmax } from '../reference/softmax.ts';

for (const shape of [
  [2, 3, 4, 5, 3],
  [1, 2, 3, 3, 4],
  [3, 9, 11, 7, 2],
  [7, 14],
  [3, 37],
]) {
  gpuTest(`entropy of [${shape}] equals the reference`, async (device) => {
    const p = softmax(scale(random(shape, 1), 6));
    const x = upload(device, p, 'p');
    const { y } = await compute(device, (rec) => ({ y: entropy(rec, x) }));
    assertClose('entropy', y, entropyReference(p), { absolute: 2e-6 });
  });
}

gpuTest('a certain row has entropy 0, a uniform one ln C', async (device) => {
  const x = upload(device, dense([2, 4], [0, 1, 0, 0, 0.25, 0.25, 0.25, 0.25]), 'p');
  const { y } = await compute(device, (rec) => ({ y: entropy(rec, x) }));
  assert.is(Math.abs(y[0]), 0);
  assert.ok(Math.abs(y[1] - Math.log(4)) < 1e-6, `${y[1]}`);
});

run();
