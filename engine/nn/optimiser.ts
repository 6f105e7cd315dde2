import { ActionError } from '../errors.ts';
import type { Recording } from '../recording.ts';
import type { Tensor } from '../tensor.ts';
import type { Parameters } from './parameters.ts';

/** Gradient clipping folded into an optimiser's kernel: `norm` from gradientNorm, scaled down where above `maxNorm`. */
export interface Clip {
  readonly norm: Tensor;
  readonly maxNorm: number;
}

/** An update rule over the flat layout of one set of parameters. */
export interface Optimiser {
  /** Its memory by name, in the parameters' layout: read and load it with Parameters.read and .load. */
  readonly state: Readonly<Record<string, Tensor>>;
  /** Appends the update of all parameters from their gradients. */
  step(rec: Recording, clip?: Clip): void;
  destroy(): void;
}

export interface WeightDecay {
  /** Coefficient of L2 decay; 0 for none. */
  weightDecay?: number;
  /** Also decay biases and norm vectors, as PyTorch does unless told otherwise. Default true. */
  decayVectors?: boolean;
}

/** vec4 units of the flat layout, and how many of them from the start take weight decay. */
export function decayedUnits(parameters: Parameters, decayVectors: boolean): { count: number; decayed: number } {
  const { bytes, weightBytes } = parameters.layout;
  return { count: bytes / 16, decayed: (decayVectors ? bytes : weightBytes) / 16 };
}

/** The flat gradient, or an error for a teacher. */
export function gradientOf(parameters: Parameters, by: string): Tensor {
  if (parameters.flatGrad) return parameters.flatGrad;
  throw new ActionError(`${by}: these parameters have no gradients; create them with trainable: true`);
}
