import type { Device } from '../../engine/device.ts';
import { convTranspose3d } from '../../engine/ops/conv_transpose3d.ts';
import { conv3d } from '../../engine/ops/conv3d.ts';
import type { Triple } from '../../engine/shape.ts';
import { checkOp, gpuTest, run } from '../harness.ts';
import * as transposed from '../reference/conv_transpose3d.ts';
import * as reference from '../reference/conv3d.ts';
import { type Dense, random } from '../reference/dense.ts';

type Case = {
  size: number[];
  cin: number;
  cout: number;
  kernel: Triple;
  stride: Triple;
  padding: Triple;
  bias?: boolean;
};

const cases: Case[] = [
  { size: [2, 5, 6, 7], cin: 8, cout: 12, kernel: [3, 3, 3], stride: [1, 1, 1], padding: [1, 1, 1], bias: true },
  { size: [1, 4, 4, 17], cin: 1, cout: 5, kernel: [3, 3, 3], stride: [1, 1, 1], padding: [1, 1, 1] },
  { size: [1, 3, 5, 9], cin: 6, cout: 3, kernel: [1, 3, 3], stride: [1, 1, 1], padding: [0, 1, 1], bias: true },
  { size: [2, 3, 4, 5], cin: 7, cout: 3, kernel: [1, 1, 1], stride: [1, 1, 1], padding: [0, 0, 0], bias: true },
  { size: [1, 6, 7, 8], cin: 4, cout: 8, kernel: [2, 2, 2], stride: [2, 2, 2], padding: [0, 0, 0], bias: true },
  { size: [2, 7, 6, 9], cin: 5, cout: 6, kernel: [3, 3, 3], stride: [2, 2, 2], padding: [1, 1, 1] },
  { size: [1, 5, 6, 7], cin: 4, cout: 4, kernel: [3, 3, 3], stride: [1, 2, 2], padding: [1, 1, 1] },
  { size: [1, 5, 5, 5], cin: 4, cout: 4, kernel: [3, 3, 3], stride: [1, 1, 1], padding: [0, 0, 0] },
  { size: [1, 3, 3, 3], cin: 64, cout: 20, kernel: [3, 3, 3], stride: [1, 1, 1], padding: [1, 1, 1] },
  { size: [1, 2, 3, 4], cin: 160, cout: 8, kernel: [3, 3, 3], stride: [1, 1, 1], padding: [1, 1, 1] },
  { size: [1, 4, 4, 4], cin: 4, cout: 4, kernel: [1, 1, 1], stride: [2, 2, 2], padding: [0, 0, 0] },
  { size: [2, 6, 40, 33], cin: 16, cout: 8, kernel: [3, 3, 3], stride: [1, 1, 1], padding: [1, 1, 1], bias: true },
  // Uniform windows smaller than the largest, and than both tensors.
  { size: [2, 4, 6, 8], cin: 32, cout: 24, kernel: [3, 3, 3], stride: [1, 1, 1], padding: [1, 1, 1] },
  { size: [1, 4, 4, 4], cin: 4, cout: 4, kernel: [3, 1, 2], stride: [1, 1, 2], padding: [2, 1, 1] },
];

const describe = ({ size, cin, cout, kernel, stride, padding }: Case) =>
  `[${size}] ${cin} -> ${cout}, kernel ${kernel}, stride ${stride}, padding ${padding}`;

/** All families of kernels run on every adapter: those chosen for hardware, for software adapters, and for llvmpipe. */
const families = {
  hardware: { software: false },
  software: { software: true },
  windows: { software: true, kind: 'llvmpipe' },
};

for (const [i, c] of cases.entries()) {
  const { stride, padding } = c;
  const x = random([...c.size, c.cin], i);
  const w = random([...c.kernel, c.cin, c.cout], 100 + i);
  const b = c.bias ? random([c.cout], 200 + i) : null;
  const inputs: Record<string, Dense> = b ? { x, w, b } : { x, w };
  const tolerance = { terms: 27 * c.cin };

  for (const [family, traits] of Object.entries(families)) {
    const check = (device: Device) =>
      checkOp(device, 'conv3d', {
        inputs,
        op: (rec, t) => conv3d(rec, t.x, t.w, t.b ?? null, { stride, padding }),
        expected: reference.conv3d(x, w, b, { stride, padding }),
        gradients: (dy) => ({
          x: reference.conv3dGradInput(dy, w, x.shape, { stride, padding }),
          w: reference.conv3dGradWeight(x, dy, w.shape, { stride, padding }),
          ...(c.bias ? { b: reference.conv3dGradBias(dy) } : {}),
        }),
        tolerance,
        gradientTolerance: { terms: 300 },
      });
    gpuTest(`conv3d (${family} kernels) ${describe(c)} equals the reference, all gradients too`, check, traits);

    const checkTransposed = (device: Device) =>
      checkOp(device, 'conv_transpose3d', {
        inputs,
        op: (rec, t) => convTranspose3d(rec, t.x, t.w, t.b ?? null, { stride, padding }),
        expected: transposed.convTranspose3d(x, w, b, { stride, padding }),
        gradients: (dy) => ({
          x: transposed.convTranspose3dGradInput(dy, w, x.shape, { stride, padding }),
          w: transposed.convTranspose3dGradWeight(x, dy, w.shape, { stride, padding }),
          ...(c.bias ? { b: transposed.convTranspose3dGradBias(dy) } : {}),
        }),
        tolerance,
        gradientTolerance: { terms: 300 },
      });
    const name = `conv_transpose3d (${family} kernels) ${describe(c)} equals the reference, all gradients too`;
    gpuTest(name, checkTransposed, traits);
  }
}

run();
