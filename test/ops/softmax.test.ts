import { logSoftmax, softmax } from '../../engine/ops/softmax.ts';
import { checkOp, gpuTest, run } from '../harness.ts';
import { type Dense, dense, random } from '../reference/dense.ts';
import { scale } from '../reference/scale.ts';
import {
  logSoftmaxGrad,
  logSoftmax as logSoftmaxReference,
  softmaxGrad,
  softmax as softmaxReference,
} from '../reference/softmax.ts';

function check(name: string, x: Dense): void {
  const p = softmaxReference(x);
  const logP = logSoftmaxReference(x);
  const tolerance = { absolute: 3e-6 };
  gpuTest(`softmax ${name} equals the reference, both ways`, (device) =>
    checkOp(device, 'softmax', {
      inputs: { x },
      op: (rec, t) => softmax(rec, t.x),
      expected: p,
      gradients: (dy) => ({ x: softmaxGrad(p, dy) }),
      tolerance,
    }),
  );
  gpuTest(`log_softmax ${name} equals the reference, both ways`, (device) =>
    checkOp(device, 'log_softmax', {
      inputs: { x },
      op: (rec, t) => logSoftmax(rec, t.x),
      expected: logP,
      gradients: (dy) => ({ x: logSoftmaxGrad(logP, dy) }),
      tolerance: { ...tolerance, terms: 64 },
    }),
  );
}

for (const shape of [
  [2, 3, 1, 5, 2],
  [1, 2, 3, 3, 4],
  [7, 1],
  [5, 14],
  [3, 36],
  [2, 1023],
]) {
  check(`[${shape}]`, scale(random(shape, 1), 8));
}
check('of logits thousands apart', dense([2, 3], [9000, -9000, 8999.5, -3e4, -3e4, 100]));

run();
