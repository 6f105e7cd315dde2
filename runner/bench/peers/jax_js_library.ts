/** What the bench of peers uses of jax-js 0.1. Its arrays are taken by the op that gets them; `ref` holds on to one. */
import type { HostArray } from './protocol.ts';

export interface Value {
  readonly shape: number[];
  readonly ref: Value;
  data(): Promise<Float32Array>;
  dispose(): void;
  reshape(shape: readonly number[]): Value;
  slice(...ranges: readonly (readonly number[])[]): Value;
  add(other: Value | number): Value;
  sub(other: Value): Value;
  mul(other: Value | number): Value;
  div(other: Value): Value;
}
type Tree = Value | readonly Tree[];
export interface Jax {
  init(device: 'webgpu'): Promise<readonly string[]>;
  defaultDevice(device?: 'webgpu'): string;
  blockUntilReady(tree: Tree): Promise<unknown>;
  jit<F>(f: F): F;
  vjp(f: (...inputs: Value[]) => Value, inputs: readonly Value[]): [Value, (dy: Value) => Value[]];
  valueAndGrad(f: (parameters: Value[], ...rest: Value[]) => Value): (p: Value[], ...rest: Value[]) => [Value, Value[]];
  readonly numpy: {
    array(values: Float32Array): Value;
    zeros(shape: readonly number[]): Value;
    mean(x: Value, axes?: readonly number[], options?: { keepdims: boolean }): Value;
    sum(x: Value, axes?: readonly number[] | number): Value;
    max(x: Value): Value;
    square(x: Value): Value;
    sqrt(x: Value): Value;
    transpose(x: Value, order: readonly number[]): Value;
    concatenate(values: readonly Value[], axis: number): Value;
    pad(x: Value, widths: readonly (readonly number[])[]): Value;
  };
  readonly nn: {
    leakyRelu(x: Value, slope: number): Value;
    softmax(x: Value, axis: number): Value;
    logSoftmax(x: Value, axis: number): Value;
  };
  readonly lax: {
    convGeneralDilated(
      x: Value,
      w: Value,
      strides: readonly number[],
      padding: 'SAME' | readonly (readonly number[])[],
    ): Value;
    reduceWindow(
      x: Value,
      reduce: (window: Value) => Value,
      size: readonly number[],
      strides: readonly number[],
    ): Value;
  };
}

export function dispose(values: readonly Value[]): void {
  for (const value of values) value.dispose();
}

export function arrayIn({ numpy }: Jax, { shape, data }: HostArray): Value {
  return numpy.array(data).reshape(shape);
}
