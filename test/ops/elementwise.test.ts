import * as assert from 'uvu/assert';
import { add, mul, scale, scaleBy, sub } from '../../engine/ops/elementwise.ts';
import { compute } from '../../engine/program.ts';
import { Recording } from '../../engine/recording.ts';
import { assertClose } from '../compare.ts';
import { checkOp, gpuTest, run, upload } from '../harness.ts';
import { add as addReference } from '../reference/add.ts';
import { random } from '../reference/dense.ts';
import { mul as mulReference } from '../reference/mul.ts';
import { scale as scaleReference } from '../reference/scale.ts';

for (const shape of [[2, 3, 1, 5, 4], [1, 2, 3, 5, 3], [7, 9], [1]]) {
  const [a, b] = [random(shape, 1), random(shape, 2)];
  gpuTest(`add [${shape}] equals the reference, both ways`, (device) =>
    checkOp(device, 'add', {
      inputs: { a, b },
      op: (rec, t) => add(rec, t.a, t.b),
      expected: addReference(a, b),
      gradients: (dy) => ({ a: dy, b: dy }),
    }),
  );
  gpuTest(`sub [${shape}] equals the reference, both ways`, (device) =>
    checkOp(device, 'sub', {
      inputs: { a, b },
      op: (rec, t) => sub(rec, t.a, t.b),
      expected: addReference(a, scaleReference(b, -1)),
      gradients: (dy) => ({ a: dy, b: scaleReference(dy, -1) }),
    }),
  );
  gpuTest(`mul [${shape}] equals the reference, both ways`, (device) =>
    checkOp(device, 'mul', {
      inputs: { a, b },
      op: (rec, t) => mul(rec, t.a, t.b),
      expected: mulReference(a, b),
      gradients: (dy) => ({ a: mulReference(dy, b), b: mulReference(dy, a) }),
    }),
  );
  gpuTest(`scale [${shape}] equals the reference, both ways`, (device) =>
    checkOp(device, 'scale', {
      inputs: { a },
      op: (rec, t) => scale(rec, t.a, -1.7),
      expected: scaleReference(a, -1.7),
      gradients: (dy) => ({ a: scaleReference(dy, -1.7) }),
    }),
  );
  gpuTest(`scaleBy [${shape}] reads its factor on the device, both ways`, (device) => {
    const scalars = device.tensor([3], 'scalars', { dense: true, data: [9, -0.375, 7] });
    return checkOp(device, 'scale_by', {
      inputs: { a },
      op: (rec, t) => scaleBy(rec, t.a, scalars, 1),
      expected: scaleReference(a, -0.375),
      gradients: (dy) => ({ a: scaleReference(dy, -0.375) }),
    });
  });
}

gpuTest('an input used twice gets both gradients', async (device) => {
  const a = random([3, 5], 3);
  const x = { ...upload(device, a, 'a'), grad: device.tensor([3, 5], 'da') };
  const dy = random([3, 5], 4);
  const seed = upload(device, dy, 'dy', { grad: false });
  const { da } = await compute(device, (rec) => {
    rec.backward(sub(rec, mul(rec, x, x), x), { seed, leaves: [x] });
    return { da: x.grad };
  });
  const slope = { shape: a.shape, data: a.data.map((v) => 2 * v - 1) };
  assertClose('d(x x - x)', da, mulReference(dy, slope));
});

gpuTest('unequal shapes and an index out of range are errors that name both', async (device) => {
  const rec = new Recording(device, 'errors');
  const [a, b] = [device.tensor([2, 3], 'left'), device.tensor([2, 4], 'right')];
  assert.throws(() => add(rec, a, b), /left.*\[2, 3\].*right.*\[2, 4\]/);
  assert.throws(() => scaleBy(rec, a, device.tensor([2], 'scalars', { dense: true }), 2), /index 2.*\[2\]/);
});

run();
