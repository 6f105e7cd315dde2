import * as assert from 'uvu/assert';
import type { Device } from '../../engine/device.ts';
import { linear, matmul } from '../../engine/ops/matmul.ts';
import { Recording } from '../../engine/recording.ts';
import { checkOp, gpuTest, run, traits } from '../harness.ts';
import { type Dense, random } from '../reference/dense.ts';
import { matmulGrad, matmul as matmulReference } from '../reference/matmul.ts';
import { sum } from '../reference/reduce.ts';

/** GPUs split the inner axis into more slices. */
const FAMILIES = { '': traits, ' (GPU kernels)': { software: false } };

const transposed = (shape: [number, number], transpose: boolean): number[] =>
  transpose ? [shape[1], shape[0]] : shape;

for (const [m, k, n] of [
  [3, 4, 5],
  [4, 8, 8],
  [1, 1, 1],
  [7, 5, 2],
  [5, 3, 9],
  [13, 17, 19],
  [2, 130, 36],
  [3, 1031, 6],
  [9, 700, 21],
  // Large enough for uniform windows (llvmpipe), around their blocks, slices and bands.
  [301, 150, 37],
  [33, 1300, 70],
  [135, 33, 530],
]) {
  for (const transposeA of [false, true]) {
    for (const transposeB of [false, true]) {
      const a = random(transposed([m, k], transposeA), 1);
      const b = random(transposed([k, n], transposeB), 2);
      const options = { transposeA, transposeB };
      const name = `matmul ${transposeA ? 'a^T' : 'a'} ${transposeB ? 'b^T' : 'b'}, m ${m} k ${k} n ${n}`;
      const body = (device: Device) =>
        checkOp(device, name, {
          inputs: { a, b },
          op: (rec, t) => matmul(rec, t.a, t.b, options),
          expected: matmulReference(a, b, options),
          gradients: (dy) => {
            const { da, db } = matmulGrad(a, b, dy, options);
            return { a: da, b: db };
          },
          tolerance: { terms: Math.max(16, k / 8) },
        });
      for (const [family, as] of Object.entries(FAMILIES)) {
        gpuTest(`${name} equals the reference, both ways${family}`, body, as);
      }
    }
  }
}

for (const [rowShape, inputs, outputs] of [
  [[5], 6, 3],
  [[2, 3, 4, 5], 3, 9],
  [[2, 17, 19, 3], 4, 16],
  [[3], 1500, 2],
  [[2, 5, 31], 270, 13],
] as [number[], number, number][]) {
  const count = rowShape.reduce((a, b) => a * b, 1);
  const [x, weight, bias] = [random([count, inputs], 3), random([inputs, outputs], 4), random([outputs], 5)];
  const expected = matmulReference(x, weight);
  expected.data = expected.data.map((v, i) => v + bias.data[i % outputs]);
  const shaped = (v: Dense, last: number): Dense => ({ shape: [...rowShape, last], data: v.data });
  const body = (device: Device) =>
    checkOp(device, 'linear', {
      inputs: { x: shaped(x, inputs), weight, bias },
      op: (rec, t) => linear(rec, t.x, t.weight, t.bias),
      expected: shaped(expected, outputs),
      gradients: (dy) => {
        const flat = { shape: [count, outputs], data: dy.data };
        const { da, db } = matmulGrad(x, weight, flat);
        return { x: shaped(da, inputs), weight: db, bias: sum(flat, 'channel') };
      },
      tolerance: { terms: Math.max(64, inputs / 8) },
    });
  for (const [family, as] of Object.entries(FAMILIES)) {
    gpuTest(`linear [${rowShape}, ${inputs}] -> ${outputs} equals the reference, both ways${family}`, body, as);
  }
}

gpuTest('inner axes that differ are an error that shows all shapes', async (device) => {
  const rec = new Recording(device, 'errors');
  const [a, b] = [device.tensor([3, 4], 'queries'), device.tensor([5, 6], 'keys')];
  assert.throws(() => matmul(rec, a, b), /queries.*\[3, 4\].*keys.*\[5, 6\].*\[3, 4\] x \[5, 6\]/);
  assert.throws(() => linear(rec, a, device.tensor([4, 2], 'w'), device.tensor([3], 'b')), /'b' \[3\]/);
});

run();
