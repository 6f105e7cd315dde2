/** Problems of a choice as plain data, without a device: what tuning files hold, and what problems are made from again. */
import type { TensorOptions } from '../../engine/device.ts';
import type { Dtype, Tensor } from '../../engine/tensor.ts';

/** What makes a tensor where a problem is needed. */
export interface TensorData {
  readonly shape: readonly number[];
  readonly dtype?: Dtype;
  readonly dense?: boolean;
}

/** A problem with `{ tensor }` in place of each tensor, and its numbers, texts and flags as they are. */
export type ProblemData = Readonly<Record<string, unknown>>;

export function dataOf(problem: object): ProblemData {
  const entries = Object.entries(problem).filter(([, value]) => value !== undefined);
  return Object.fromEntries(
    entries.map(([name, value]) => [name, isTensor(value) ? { tensor: tensorData(value) } : value]),
  );
}

/** The problem on tensors that `make` gives. */
export function problemOf<Problem>(
  data: ProblemData,
  make: (shape: readonly number[], label: string, options: TensorOptions) => Tensor,
): Problem {
  const entries = Object.entries(data).map(([name, value]) => {
    if (!isData(value)) return [name, value];
    const { shape, dtype, dense } = value.tensor;
    return [name, make(shape, name, { dtype, dense })];
  });
  return Object.fromEntries(entries) as Problem;
}

function tensorData({ shape, pitch, dtype }: Tensor): TensorData {
  const dense = pitch === shape[shape.length - 1] && pitch % 4 !== 0;
  return { shape, ...(dtype !== 'f32' && { dtype }), ...(dense && { dense }) };
}

const isTensor = (value: unknown): value is Tensor =>
  typeof value === 'object' && value !== null && 'storage' in value && 'shape' in value;

const isData = (value: unknown): value is { readonly tensor: TensorData } =>
  typeof value === 'object' && value !== null && 'tensor' in value;
