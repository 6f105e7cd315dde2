/** An op on a shape, ready to be checked and timed pass by pass. */
import type { Device } from '../../engine/device.ts';
import type { Recording } from '../../engine/recording.ts';
import { product } from '../../engine/shape.ts';
import { storedBytes, type Tensor } from '../../engine/tensor.ts';
import { noise, type Sampled } from './samples.ts';
import type { KernelShape } from './shapes.ts';

/** A result that is compared with float64. */
export interface Checked {
  readonly label: string;
  readonly tensor: Tensor;
  expected(): Sampled;
}

/** What is timed by itself: an op forward, or some of its gradients. */
export interface Pass {
  readonly name: string;
  /** A multiply-add as two; 0 where arithmetic does not matter. */
  readonly flops: number;
  /** Of every tensor that must be read or written, once. */
  readonly bytes: number;
  /** Appends the pass and what it needs before: commands from `from` on are timed. */
  record(rec: Recording): { from: number; checked: readonly Checked[] };
}

export interface KernelCase {
  readonly passes: readonly Pass[];
  destroy(): void;
}

/** Makes a case's inputs on the device. */
export type KernelOp = (device: Device, shape: KernelShape) => KernelCase;

/** Host values of an input; a tensor of whole numbers is an index or a label and has no gradient. */
export interface HostInput {
  readonly label: string;
  readonly shape: readonly number[];
  readonly data: Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>;
}

/** Uniform noise; an op's inputs and its output gradient should differ in `seed`. */
export function noiseInput(label: string, shape: readonly number[], seed: number, bits?: number): HostInput {
  return { label, shape, data: noise(product(shape), seed, bits) };
}

export interface GradientPass {
  readonly name: string;
  /** Inputs whose gradients are computed. */
  readonly leaves: readonly number[];
  /** Inputs whose values that needs, beside the output's gradient. */
  readonly reads: readonly number[];
  readonly flops: number;
}

export interface Differentiable {
  readonly inputs: readonly HostInput[];
  readonly output: readonly number[];
  /** Of the output's gradient behind the point; default all. */
  readonly bits?: number;
  readonly flops: number;
  record(rec: Recording, inputs: readonly Tensor[]): Tensor;
  readonly gradients: readonly GradientPass[];
  readonly expected: {
    output(): Sampled;
    /** Of an input's gradient, `dy` being the output's. */
    gradient(input: number, dy: Float32Array): Sampled;
  };
}

const DY_SEED = 97;

/** The passes of an op that the tape knows: forward, and each of its gradient passes. */
export function differentiable(device: Device, op: Differentiable): KernelCase {
  const values = op.inputs.map(({ label, shape, data }) =>
    data instanceof Uint32Array
      ? device.tensor(shape, label, { data, dtype: 'u32', dense: true })
      : device.tensor(shape, label, { data }),
  );
  const grads = op.inputs.map(({ label, shape }, i) =>
    op.gradients.some(({ leaves }) => leaves.includes(i)) ? device.tensor(shape, `d${label}`) : undefined,
  );
  const dyValues = noise(product(op.output), DY_SEED, op.bits);
  const dy = device.tensor(op.output, 'dy', { data: dyValues });
  const sum = (tensors: readonly Tensor[]) => tensors.reduce((bytes, t) => bytes + storedBytes(t), 0);
  const forward: Pass = {
    ...{ name: 'forward', flops: op.flops, bytes: sum([...values, dy]) },
    record(rec) {
      const y = rec.keep(op.record(rec, values));
      return { from: 0, checked: [{ label: 'y', tensor: y, expected: op.expected.output }] };
    },
  };
  const backward = op.gradients.map(({ name, leaves, reads, flops }): Pass => {
    const bytes = sum([dy, ...reads.map((i) => values[i]), ...leaves.map((i) => grads[i] as Tensor)]);
    return {
      ...{ name, flops, bytes },
      record(rec) {
        const inputs = values.map((t, i) => (leaves.includes(i) ? { ...t, requiresGrad: true, grad: grads[i] } : t));
        const y = op.record(rec, inputs);
        const last = rec.commands[rec.commands.length - 1];
        rec.backward(y, { seed: dy, leaves: leaves.map((i) => inputs[i]) });
        // Commands may have come in front of all.
        const from = rec.commands.indexOf(last) + 1;
        const checked = leaves.map((i) => ({
          ...{ label: `d${op.inputs[i].label}`, tensor: grads[i] as Tensor },
          expected: () => op.expected.gradient(i, dyValues),
        }));
        return { from, checked };
      },
    };
  });
  return {
    passes: [forward, ...backward],
    destroy() {
      for (const t of [...values, ...grads, dy]) if (t) device.destroyTensor(t);
    },
  };
}
