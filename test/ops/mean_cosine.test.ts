import * as assert from 'uvu/assert';
import { meanCosine } from '../../engine/ops/mean_cosine.ts';
import { compute } from '../../engine/program.ts';
import { Recording } from '../../engine/recording.ts';
import { assertClose } from '../compare.ts';
import { gpuTest, run, upload } from '../harness.ts';
import { dense, random } from '../reference/dense.ts';
import { l2Normalize } from '../reference/l2_normalize.ts';
import { meanCosine as reference } from '../reference/mean_cosine.ts';

for (const shape of [
  [4, 45, 192],
  [2, 1, 128],
  [3, 2, 5],
  [1, 4, 3],
]) {
  gpuTest(`mean cosine of [${shape}] equals the reference`, async (device) => {
    const x = l2Normalize(random(shape, 1));
    const { y } = await compute(device, (rec) => ({ y: meanCosine(rec, upload(device, x, 'x', { grad: false })) }));
    assertClose('mean cosine', y, dense([1], [reference(x)]), { absolute: 1e-6 });
  });
}

gpuTest('by hand: equal samples give 1, opposite ones -1, a right angle and two equal ones 1/3', async (device) => {
  const cosine = async (...rows: number[][]) => {
    const x = upload(device, dense([rows.length, 1, 2], rows.flat()), 'x');
    return (await compute(device, (rec) => ({ y: meanCosine(rec, x) }))).y[0];
  };
  assert.is(await cosine([1, 0], [1, 0], [1, 0]), 1);
  assert.is(await cosine([1, 0], [-1, 0]), -1);
  assert.ok(Math.abs((await cosine([1, 0], [1, 0], [0, 1])) - 1 / 3) < 1e-7);
});

gpuTest('two axes are an error that shows them', async (device) => {
  const keys = device.tensor([4, 8], 'keys');
  assert.throws(() => meanCosine(new Recording(device, 'errors'), keys), /'keys' must be \[B, N, D\], got \[4, 8\]/);
});

run();
