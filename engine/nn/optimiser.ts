import { ActionError, UsageError } from '../errors.ts';
import type { Recording } from '../recording.ts';
import type { Tensor } from '../tensor.ts';
import type { Parameters } from './parameters.ts';

/** An update rule over the flat layout of one set of parameters. */
export interface Optimiser {
  /** Its memory by name, in the parameters' layout: read and load it with Parameters.read and .load. */
  readonly state: Readonly<Record<string, Tensor>>;
  /**
   * Appends the update of the parameters from their gradients.
   *
   * @param clip [2] of gradientClip or LossScale: a norm, and the factor of the gradients; with factor 0 values and memory
   *   keep every bit
   */
  step(rec: Recording, clip?: Tensor): void;
  destroy(): void;
}

export interface UpdateOptions {
  /** Coefficient of weight decay; 0 for none. */
  weightDecay?: number;
  /** Also decay biases and norm vectors, as PyTorch does unless told otherwise. Default true. */
  decayVectors?: boolean;
  /** Parameters, by name, that the optimiser is given; the others keep their values to the bit. Default all. */
  only?: (name: string) => boolean;
}

/** A run of the flat layout that is updated in one dispatch. */
export interface UpdateRange {
  /** vec4 units of the run. */
  readonly count: number;
  /** Of those, from the start, how many take weight decay. */
  readonly decayed: number;
  /** A flat tensor's part in this run. */
  view(flat: Tensor): Tensor;
}

/** The runs of neighbouring parameters that are updated: one unless `only` leaves some out. Errors: UsageError when it leaves none. */
export function updateRanges(parameters: Parameters, { decayVectors = true, only }: UpdateOptions): UpdateRange[] {
  const { bytes, weightBytes, offsets } = parameters.layout;
  const runs: { from: number; to: number }[] = only ? [] : [{ from: 0, to: bytes }];
  if (only) {
    const learned = parameters.specs
      .map(({ name, buffer }, i) => ({ name, buffer, from: offsets[i] }))
      .filter(({ buffer }) => !buffer)
      .sort((a, b) => a.from - b.from);
    learned.forEach(({ name, from }, i) => {
      if (!only(name)) return;
      const to = learned[i + 1]?.from ?? bytes;
      const last = runs[runs.length - 1];
      if (last?.to === from) last.to = to;
      else runs.push({ from, to });
    });
    if (runs.length === 0) throw new UsageError("the optimiser's `only` leaves no parameter to update; name some");
  }
  const decayEnd = decayVectors ? bytes : weightBytes;
  return runs.map(({ from, to }) => ({
    count: (to - from) / 16,
    decayed: Math.max(0, Math.min(to, decayEnd) - from) / 16,
    view: (flat) => ({ ...flat, shape: [(to - from) / 4], pitch: (to - from) / 4, offset: flat.offset + from }),
  }));
}

/** The flat gradient, or an error for a teacher. */
export function gradientOf(parameters: Parameters, by: string): Tensor {
  if (parameters.flatGrad) return parameters.flatGrad;
  throw new ActionError(`${by}: these parameters have no gradients; create them with trainable: true`);
}
