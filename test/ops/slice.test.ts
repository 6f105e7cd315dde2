import * as assert from 'uvu/assert';
import { add } from '../../engine/ops/elementwise.ts';
import { slice, sliceBatch } from '../../engine/ops/slice.ts';
import { Recording } from '../../engine/recording.ts';
import { checkOp, gpuTest, run } from '../harness.ts';
import { add as addReference } from '../reference/add.ts';
import { type Dense, random } from '../reference/dense.ts';
import { sliceGrad, slice as sliceReference } from '../reference/slice.ts';

const exact = { absolute: 0, relative: 0 };

for (const [width, from, to] of [
  [12, 4, 8],
  [12, 8, 12],
  [7, 4, 7],
  [7, 0, 3],
  [7, 2, 6],
  [5, 4, 5],
]) {
  const x = random([2, 1, 3, 2, width], 5);
  gpuTest(`slice of channels ${from}:${to} of ${width} equals the reference, both ways`, (device) =>
    checkOp(device, 'slice', {
      inputs: { x },
      op: (rec, t) => slice(rec, t.x, from, to),
      expected: sliceReference(x, from, to),
      gradients: (dy) => ({ x: sliceGrad(dy, x.shape, from) }),
      tolerance: exact,
    }),
  );
}

/** Samples as channels of one row, which the reference can slice. */
const asRow = (x: Dense): Dense => ({ shape: [1, x.data.length], data: x.data });

for (const [shape, from, to] of [
  [[3, 2, 2, 4, 3], 1, 3],
  [[3, 2, 2, 4, 3], 0, 1],
  [[3, 1, 3, 1, 5], 2, 3],
  [[9, 6], 3, 7],
] as [number[], number, number][]) {
  const x = random(shape, 6);
  const sample = x.data.length / shape[0];
  const part = (v: Dense): Dense => ({
    shape: [to - from, ...shape.slice(1)],
    data: sliceReference(asRow(v), from * sample, to * sample).data,
  });
  gpuTest(`slice of samples ${from}:${to} of [${shape}] equals the reference, both ways`, (device) =>
    checkOp(device, 'slice_batch', {
      inputs: { x },
      op: (rec, t) => sliceBatch(rec, t.x, from, to),
      expected: part(x),
      gradients: (dy) => ({
        x: { shape, data: sliceGrad(asRow(dy), [1, x.data.length], from * sample).data },
      }),
      tolerance: exact,
    }),
  );
}

const halves = random([2, 2, 2, 4, 4], 7);
gpuTest('two views of one batch share its memory and both give their gradient', (device) =>
  checkOp(device, 'slice_batch', {
    inputs: { x: halves },
    op: (rec, t) => add(rec, sliceBatch(rec, t.x, 0, 1), sliceBatch(rec, t.x, 1, 2)),
    expected: addReference(
      { shape: [1, 2, 2, 4, 4], data: halves.data.slice(0, 64) },
      { shape: [1, 2, 2, 4, 4], data: halves.data.slice(64) },
    ),
    gradients: (dy) => ({ x: { shape: halves.shape, data: Float64Array.of(...dy.data, ...dy.data) } }),
  }),
);

gpuTest('a range outside the axis is an error that shows it', async (device) => {
  const rec = new Recording(device, 'errors');
  const x = device.tensor([2, 5], 'logits');
  assert.throws(() => slice(rec, x, 3, 6), /3:6.*axis 1.*logits.*\[2, 5\]/);
  assert.throws(() => sliceBatch(rec, x, 2, 2), /2:2.*axis 0/);
});

run();
