import type { Device } from '../../../engine/device.ts';
import { convTranspose3d } from '../../../engine/ops/conv_transpose3d.ts';
import { conv3d } from '../../../engine/ops/conv3d.ts';
import { convExtent, convTransposeExtent, product, type Triple } from '../../../engine/shape.ts';
import { differentiable, type KernelOp, noiseInput } from '../case.ts';
import type { KernelShape } from '../shapes.ts';
import { type Convolution, coarseSums, fineSums, weightSums } from './convolution_sums.ts';

const ONE: Triple = [1, 1, 1];

/** Multiples of 2^-10 below 1 have the bits of a float16. */
const HALF_BITS = 10;

/** Stride 1, padded by half the kernel: the convolutions of the U-Net's blocks and of its head. */
export const conv3dOp: KernelOp = (device, shape) => convolution(device, shape, 'f32');

/** The same by matrix units, in values that float16 holds. */
export const conv3dF16Op: KernelOp = (device, shape) => convolution(device, shape, 'f16');

function convolution(device: Device, { input, out, kernel = [3, 3, 3] }: KernelShape, products: 'f32' | 'f16') {
  const padding = kernel.map((k) => k >> 1) as unknown as Triple;
  const [cin, cout] = [input[4], out as number];
  const coarse = [input[0], ...[0, 1, 2].map((a) => convExtent(input[a + 1], kernel[a], 1, padding[a])), cout];
  const g: Convolution = {
    ...{ fine: input, coarse, kernel, stride: ONE, padding },
    weight: (tap, f, c) => (tap * cin + f) * cout + c,
  };
  const bits = products === 'f16' ? HALF_BITS : undefined;
  const [x, w] = [noiseInput('x', input, 1, bits), noiseInput('w', [...kernel, cin, cout], 2, bits)];
  const flops = 2 * product(coarse) * product(kernel) * cin;
  return differentiable(device, {
    inputs: [x, w],
    output: coarse,
    bits,
    flops,
    record: (rec, [a, b]) => conv3d(rec, a, b, null, { padding, products }),
    gradients: passes(flops),
    expected: {
      output: () => coarseSums(g, x.data, w.data),
      gradient: (i, dy) => (i === 0 ? fineSums(g, dy, w.data) : weightSums(g, x.data, dy)),
    },
  });
}

/** Stride as wide as the kernel: how the U-Net's decoder doubles its resolution. */
export const convTranspose3dOp: KernelOp = (device, { input, out, kernel = [2, 2, 2] }: KernelShape) => {
  const [cin, cout] = [input[4], out as number];
  const fine = [input[0], ...[0, 1, 2].map((a) => convTransposeExtent(input[a + 1], kernel[a], kernel[a], 0)), cout];
  const g: Convolution = {
    ...{ fine, coarse: input, kernel, stride: kernel, padding: [0, 0, 0] },
    weight: (tap, f, c) => (tap * cin + c) * cout + f,
  };
  const [x, w] = [noiseInput('x', input, 1), noiseInput('w', [...kernel, cin, cout], 2)];
  const flops = 2 * product(input) * product(kernel) * cout;
  return differentiable(device, {
    inputs: [x, w],
    output: fine,
    flops,
    record: (rec, [a, b]) => convTranspose3d(rec, a, b, null, { stride: kernel }),
    gradients: passes(flops),
    expected: {
      output: () => fineSums(g, x.data, w.data),
      gradient: (i, dy) => (i === 0 ? coarseSums(g, dy, w.data) : weightSums(g, dy, x.data)),
    },
  });
};

function passes(flops: number) {
  return [
    { name: 'grad input', leaves: [0], reads: [1], flops },
    { name: 'grad weight', leaves: [1], reads: [0], flops },
  ];
}
