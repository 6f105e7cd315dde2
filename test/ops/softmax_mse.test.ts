import * as assert from 'uvu/assert';
import { softmaxMse } from '../../engine/ops/softmax_mse.ts';
import { Recording } from '../../engine/recording.ts';
import { cases, readFixture } from '../fixtures/torch/fixture.ts';
import { checkOp, gpuTest, run, upload } from '../harness.ts';
import { type Dense, dense, random } from '../reference/dense.ts';
import { scale } from '../reference/scale.ts';
import { softmax } from '../reference/softmax.ts';
import { softmaxMseGrad, softmaxMse as softmaxMseReference } from '../reference/softmax_mse.ts';

const scalar = (value: number): Dense => dense([1], [value]);

for (const shape of [
  [2, 3, 4, 5, 3],
  [1, 2, 3, 3, 4],
  [2, 9, 31, 33, 2],
  [7, 14],
  [3, 37],
]) {
  const [student, teacher] = [scale(random(shape, 1), 4), scale(random(shape, 2), 4)];
  gpuTest(`softmax_mse [${shape}] equals the reference, both ways`, (device) =>
    checkOp(device, 'softmax_mse', {
      inputs: { student },
      op: (rec, t) => softmaxMse(rec, t.student, upload(device, softmax(teacher), 'target')),
      expected: scalar(softmaxMseReference(student, teacher)),
      gradients: (dy) => ({ student: scale(softmaxMseGrad(student, teacher), dy.data[0]) }),
      gradientTolerance: { absolute: 1e-9, terms: 64 },
    }),
  );
}

for (const fixture of cases(readFixture('ops'), 'softmax_mse')) {
  gpuTest(`${fixture.name} equals PyTorch, both ways`, (device) =>
    checkOp(device, fixture.name, {
      inputs: { x: fixture.get('a') },
      op: (rec, t) => softmaxMse(rec, t.x, upload(device, softmax(fixture.get('b')), 'target')),
      expected: scalar(fixture.get('y').data[0]),
      gradients: (dy) => ({ x: scale(fixture.get('da'), dy.data[0] / fixture.get('dy').data[0]) }),
    }),
  );
}

gpuTest('unequal shapes are an error that shows both', async (device) => {
  const rec = new Recording(device, 'errors');
  const [s, t] = [device.tensor([2, 3], 'logits'), device.tensor([3, 3], 'target')];
  assert.throws(() => softmaxMse(rec, s, t), /logits.*\[2, 3\].*target.*\[3, 3\]/);
});

run();
