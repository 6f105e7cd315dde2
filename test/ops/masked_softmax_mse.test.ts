import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { maskedSoftmaxMse } from '../../engine/ops/masked_softmax_mse.ts';
import { compute } from '../../engine/program.ts';
import { Recording } from '../../engine/recording.ts';
import { assertClose } from '../compare.ts';
import { checkOp, gpuTest, run, upload } from '../harness.ts';
import { centralDifference } from '../reference/central_difference.ts';
import { dense, random } from '../reference/dense.ts';
import {
  maskedSoftmaxMseGrad,
  maskedSoftmaxMse as maskedSoftmaxMseReference,
} from '../reference/masked_softmax_mse.ts';
import { scale } from '../reference/scale.ts';
import { softmax } from '../reference/softmax.ts';

const THRESHOLD = 0.25;
/** The threshold is the second of three step scalars. */
const SCALARS = dense([3], [9, THRESHOLD, -9]);

for (const shape of [
  [2, 3, 4, 5, 3],
  [1, 2, 3, 3, 4],
  [2, 9, 31, 33, 2],
  [7, 14],
  [5, 37],
]) {
  const student = scale(random(shape, 1), 4);
  const target = softmax(scale(random(shape, 2), 4));
  const uncertainty = random(shape.slice(0, -1), 3);
  const [loss, share] = maskedSoftmaxMseReference(student, target, uncertainty, THRESHOLD);
  gpuTest(`masked_softmax_mse [${shape}] equals the reference, both ways`, async (device) => {
    assert.ok(share > 0.2 && share < 0.9, `${share}`);
    const certainty = {
      uncertainty: upload(device, uncertainty, 'uncertainty', { dense: true }),
      scalars: upload(device, SCALARS, 'scalars', { dense: true }),
      index: 1,
    };
    const q = upload(device, target, 'target');
    await checkOp(device, 'masked_softmax_mse', {
      inputs: { student },
      op: (rec, t) => maskedSoftmaxMse(rec, t.student, q, certainty).loss,
      expected: dense([1], [loss]),
      gradients: (dy) => ({
        student: scale(maskedSoftmaxMseGrad(student, target, uncertainty, THRESHOLD), dy.data[0]),
      }),
      gradientTolerance: { absolute: 1e-9, terms: 64 },
    });
    const logits = upload(device, student, 'logits');
    const found = await compute(device, (rec) => ({ share: maskedSoftmaxMse(rec, logits, q, certainty).share }));
    assertClose('share', found.share, dense([1], [share]));
  });
}

test('the reference gradient equals central differences', () => {
  const [a, q, uncertainty] = [random([9, 3], 1), softmax(random([9, 3], 2)), random([9], 3)];
  const numerical = centralDifference((v) => maskedSoftmaxMseReference(v, q, uncertainty, THRESHOLD)[0], a);
  const gradient = maskedSoftmaxMseGrad(a, q, uncertainty, THRESHOLD);
  assertClose('a', gradient.data, numerical, { absolute: 1e-8, terms: 1 });
});

gpuTest('where nothing is certain, NaN included, loss, share and gradient are exactly 0', async (device) => {
  const student = random([6, 3], 1);
  const values = [THRESHOLD, 1, Number.NaN, 0.3, 0.25, 2];
  const certainty = {
    uncertainty: upload(device, dense([6], values), 'uncertainty', { dense: true }),
    scalars: upload(device, SCALARS, 'scalars', { dense: true }),
    index: 1,
  };
  const q = upload(device, softmax(random([6, 3], 2)), 'target');
  const logits = { ...upload(device, student, 'logits'), grad: device.tensor([6, 3], 'dlogits') };
  const found = await compute(device, (rec) => {
    const { loss, share } = maskedSoftmaxMse(rec, logits, q, certainty);
    rec.backward(loss, { leaves: [logits] });
    return { loss, share, gradient: logits.grad };
  });
  for (const [name, data] of Object.entries(found))
    assert.ok(
      data.every((v) => v === 0),
      `${name} ${data}`,
    );
});

gpuTest('shapes and slots that do not fit are errors that show them', async (device) => {
  const rec = new Recording(device, 'errors');
  const [a, b] = [device.tensor([2, 3], 'logits'), device.tensor([3, 3], 'target')];
  const scalars = device.tensor([3], 'scalars', { dense: true });
  const certainty = { uncertainty: device.tensor([2], 'uncertainty', { dense: true }), scalars, index: 1 };
  assert.throws(() => maskedSoftmaxMse(rec, a, b, certainty), /logits.*\[2, 3\].*target.*\[3, 3\]/);
  assert.throws(() => maskedSoftmaxMse(rec, b, b, certainty), /uncertainty' \[2\].*3 rows of 'target'/);
  assert.throws(() => maskedSoftmaxMse(rec, a, a, { ...certainty, index: 3 }), /index 3 is not in 'scalars' \[3\]/);
});

run();
