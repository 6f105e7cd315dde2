import * as assert from 'uvu/assert';
import { concatBatch } from '../../engine/ops/concat_batch.ts';
import { Recording } from '../../engine/recording.ts';
import { checkOp, gpuTest, run } from '../harness.ts';
import { type Dense, dense, random } from '../reference/dense.ts';

/** Channels last and samples first: joining samples is joining the values. */
const joined = (inputs: readonly Dense[]): Dense =>
  dense(
    [inputs.reduce((sum, { shape }) => sum + shape[0], 0), ...inputs[0].shape.slice(1)],
    inputs.flatMap(({ data }) => Array.from(data)),
  );

for (const [samples, rest] of [
  [
    [2, 2],
    [3, 4, 5, 1],
  ],
  [
    [1, 3, 2],
    [2, 1, 3, 5],
  ],
  [[4], [3, 4]],
]) {
  const inputs = Object.fromEntries(samples.map((n, k) => [`x${k}`, random([n, ...rest], k + 1)]));
  gpuTest(`concat_batch of ${samples} samples of [${rest}] joins the values, both ways`, (device) =>
    checkOp(device, 'concat_batch', {
      inputs,
      op: (rec, t) => concatBatch(rec, Object.values(t)),
      expected: joined(Object.values(inputs)),
      gradients: (dy) => {
        let at = 0;
        return Object.fromEntries(
          Object.entries(inputs).map(([name, { shape, data }]) => {
            at += data.length;
            return [name, dense(shape, dy.data.slice(at - data.length, at))];
          }),
        );
      },
      tolerance: { absolute: 0, relative: 0 },
    }),
  );
}

gpuTest('concat_batch refuses samples of different extents and names them', async (device) => {
  const [a, b] = [device.tensor([1, 2, 2, 2, 4], 'labelled'), device.tensor([1, 2, 2, 3, 4], 'unlabelled')];
  assert.throws(() => concatBatch(new Recording(device, 'errors'), [a, b]), /unlabelled.*\[1, 2, 2, 3, 4\].*labelled/);
});

run();
