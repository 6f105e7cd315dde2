import * as assert from 'uvu/assert';
import { concat } from '../../engine/ops/concat.ts';
import { Recording } from '../../engine/recording.ts';
import { checkOp, gpuTest, run } from '../harness.ts';
import { concat as concatReference } from '../reference/concat.ts';
import { type Dense, random } from '../reference/dense.ts';
import { slice } from '../reference/slice.ts';

for (const widths of [
  [4, 8],
  [8, 4, 3],
  [3, 5],
  [1, 1],
  [5, 4, 2, 1],
  [4, 2, 4],
  [1, 2, 3, 4, 5, 6, 7, 8, 9],
]) {
  const inputs = Object.fromEntries(widths.map((c, k) => [`x${k}`, random([2, 2, 1, 3, c], k)]));
  gpuTest(`concat of ${widths} channels equals the reference, both ways`, (device) =>
    checkOp(device, 'concat', {
      inputs,
      op: (rec, t) => concat(rec, Object.values(t)),
      expected: concatReference(Object.values(inputs)),
      gradients: (dy) => {
        const gradients: Record<string, Dense> = {};
        let from = 0;
        widths.forEach((c, k) => {
          gradients[`x${k}`] = slice(dy, from, from + c);
          from += c;
        });
        return gradients;
      },
      tolerance: { absolute: 0, relative: 0 },
    }),
  );
}

gpuTest('concat refuses inputs of different extents and names them', async (device) => {
  const [a, b] = [device.tensor([1, 2, 2, 2, 4], 'skip'), device.tensor([1, 2, 2, 3, 4], 'up')];
  assert.throws(() => concat(new Recording(device, 'errors'), [a, b]), /up.*\[1, 2, 2, 3, 4\].*skip/);
});

run();
