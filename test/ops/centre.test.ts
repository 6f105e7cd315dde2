import * as assert from 'uvu/assert';
import { centre } from '../../engine/ops/centre.ts';
import { Recording } from '../../engine/recording.ts';
import { checkOp, gpuTest, run, upload } from '../harness.ts';
import { checkPadding } from '../padding.ts';
import { centre as reference } from '../reference/centre.ts';
import { dense, random } from '../reference/dense.ts';

for (const [shape, n] of [
  [[4, 45, 192], 36],
  [[3, 2, 5], 7],
  [[2, 9], 1],
  [[2, 9], 0],
] as const) {
  const x = random(shape, 1);
  const sums = random(shape.slice(1), 2);
  gpuTest(`centre of [${shape}] by the mean of ${n} rows equals the reference; the gradient passes`, (device) => {
    const scalars = upload(device, dense([3], [8, n, 9]), 'scalars', { dense: true, grad: false });
    return checkOp(device, 'centre', {
      inputs: { x },
      op: (rec, t) => centre(rec, t.x, upload(device, sums, 'sums', { grad: false }), scalars, 1),
      expected: reference(x, sums, n),
      gradients: (dy) => ({ x: dy }),
    });
  });
}

gpuTest('padding stays zero', (device) => {
  const sums = upload(device, random([2, 5], 3), 'sums');
  const scalars = upload(device, dense([1], [3]), 'scalars', { dense: true });
  return checkPadding(device, { x: random([3, 2, 5], 4) }, (rec, t) => centre(rec, t.x, sums, scalars, 0));
});

gpuTest('sums of another row and an absent scalar are errors that show both', async (device) => {
  const rec = new Recording(device, 'errors');
  const [x, sums] = [device.tensor([4, 3, 8], 'keys'), device.tensor([2, 8], 'sums')];
  const scalars = device.tensor([2], 'scalars', { dense: true });
  assert.throws(() => centre(rec, x, sums, scalars, 0), /'sums' \[2, 8\].*'keys' \[4, 3, 8\]/);
  assert.throws(() => centre(rec, x, device.tensor([3, 8], 'sums'), scalars, 2), /2 in 'scalars' \[2\]/);
});

run();
