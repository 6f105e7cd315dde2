import { gelu, leakyRelu, relu } from '../../engine/ops/activation.ts';
import { checkOp, gpuTest, run } from '../harness.ts';
import { random } from '../reference/dense.ts';
import { geluGrad, gelu as geluReference } from '../reference/gelu.ts';
import { leakyReluGrad, leakyRelu as leakyReluReference } from '../reference/leaky_relu.ts';

for (const shape of [
  [1, 2, 3, 5, 4],
  [2, 3, 1, 7, 3],
  [5, 1],
]) {
  const x = random(shape, 1);
  gpuTest(`leaky_relu [${shape}] equals the reference, both ways`, (device) =>
    checkOp(device, 'leaky_relu', {
      inputs: { x },
      op: (rec, t) => leakyRelu(rec, t.x, 0.1),
      expected: leakyReluReference(x, 0.1),
      gradients: (dy) => ({ x: leakyReluGrad(x, dy, 0.1) }),
    }),
  );
  gpuTest(`relu [${shape}] equals the reference, both ways`, (device) =>
    checkOp(device, 'relu', {
      inputs: { x },
      op: (rec, t) => relu(rec, t.x),
      expected: leakyReluReference(x, 0),
      gradients: (dy) => ({ x: leakyReluGrad(x, dy, 0) }),
    }),
  );
  gpuTest(`gelu [${shape}] equals the reference to the error of its erf, both ways`, (device) =>
    checkOp(device, 'gelu', {
      inputs: { x },
      op: (rec, t) => gelu(rec, t.x),
      expected: geluReference(x),
      gradients: (dy) => ({ x: geluGrad(x, dy) }),
      tolerance: { absolute: 2e-6 },
    }),
  );
}

run();
