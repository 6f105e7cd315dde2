import { l2Normalize } from '../../engine/ops/l2_normalize.ts';
import { checkOp, gpuTest, run } from '../harness.ts';
import { type Dense, random } from '../reference/dense.ts';
import { l2NormalizeGrad, l2Normalize as l2NormalizeReference } from '../reference/l2_normalize.ts';
import { scale } from '../reference/scale.ts';

function check(name: string, x: Dense, epsilon?: number): void {
  gpuTest(`l2_normalize ${name} equals the reference, both ways`, (device) =>
    checkOp(device, 'l2_normalize', {
      inputs: { x },
      op: (rec, t) => l2Normalize(rec, t.x, epsilon),
      expected: l2NormalizeReference(x, epsilon),
      gradients: (dy) => ({ x: l2NormalizeGrad(x, dy, epsilon) }),
      gradientTolerance: { terms: 32 },
    }),
  );
}

for (const shape of [
  [2, 3, 1, 5, 3],
  [7, 1],
  [5, 8],
  [3, 130],
]) {
  check(`[${shape}]`, random(shape, 1));
}
check('shorter than epsilon in some rows', random([8, 3], 2), 1);
check('of rows too short to square in float32', scale(random([4, 5], 3), 2 ** -70), 1e-30);
check('of a zero row', scale(random([1, 5], 3), 0));

run();
