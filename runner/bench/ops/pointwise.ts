/** Ops that take each voxel by itself and are bound by memory. */
import { concat } from '../../../engine/ops/concat.ts';
import { add } from '../../../engine/ops/elementwise.ts';
import { softmax } from '../../../engine/ops/softmax.ts';
import { product } from '../../../engine/shape.ts';
import { differentiable, type KernelOp, noiseInput } from '../case.ts';
import { places, type Sampled, sampleCount } from '../samples.ts';

function sampled(total: number, terms: number, value: (place: number) => number): Sampled {
  const at = places(total, sampleCount(terms));
  return { at, expected: at.map(value), terms };
}

/** y = a + b. Its gradients need no kernel. */
export const addOp: KernelOp = (device, { input }) => {
  const [a, b] = [noiseInput('a', input, 1), noiseInput('b', input, 2)];
  return differentiable(device, {
    ...{ inputs: [a, b], output: input, flops: 0, gradients: [] },
    record: (rec, [s, t]) => add(rec, s, t),
    expected: {
      output: () => sampled(product(input), 1, (i) => a.data[i] + b.data[i]),
      gradient: (_, dy) => sampled(product(input), 1, (i) => dy[i]),
    },
  });
};

/** Two tensors of the same channels side by side: the skip connections. */
export const concatOp: KernelOp = (device, { input }) => {
  const c = input[input.length - 1];
  const parts = [noiseInput('a', input, 1), noiseInput('b', input, 2)];
  const output = [...input.slice(0, -1), 2 * c];
  return differentiable(device, {
    ...{ inputs: parts, output, flops: 0 },
    record: (rec, tensors) => concat(rec, tensors),
    gradients: [{ name: 'backward', leaves: [0, 1], reads: [], flops: 0 }],
    expected: {
      output: () =>
        sampled(product(output), 1, (i) => {
          const row = Math.floor(i / (2 * c));
          const channel = i % (2 * c);
          return parts[channel < c ? 0 : 1].data[row * c + (channel % c)];
        }),
      gradient: (part, dy) => sampled(product(input), 1, (i) => dy[Math.floor(i / c) * 2 * c + part * c + (i % c)]),
    },
  });
};

/** Class probabilities of every voxel. */
export const softmaxOp: KernelOp = (device, { input }) => {
  const classes = input[input.length - 1];
  const x = noiseInput('x', input, 1);
  const row = (place: number) => {
    const from = place - (place % classes);
    const powers = Array.from({ length: classes }, (_, c) => Math.exp(x.data[from + c]));
    const sum = powers.reduce((total, power) => total + power, 0);
    return { from, p: powers.map((power) => power / sum) };
  };
  return differentiable(device, {
    ...{ inputs: [x], output: input, flops: 0 },
    record: (rec, [a]) => softmax(rec, a),
    gradients: [{ name: 'backward', leaves: [0], reads: [0], flops: 0 }],
    expected: {
      output: () => sampled(product(input), classes, (i) => row(i).p[i % classes]),
      gradient: (_, dy) =>
        sampled(product(input), classes, (i) => {
          const { from, p } = row(i);
          const mean = p.reduce((sum, q, c) => sum + q * dy[from + c], 0);
          return p[i % classes] * (dy[i] - mean);
        }),
    },
  });
};
