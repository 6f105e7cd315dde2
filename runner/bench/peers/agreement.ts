/** Whether a peer computes what we do. */
import type { Results } from './protocol.ts';

/** float32, or products of fewer bits (TF32, half precision). */
export type Precision = 'fp32' | 'reduced';

/**
 * Largest norm of the difference relative to the norm of ours. Rounding grows on the way through a network; the update of
 * the parameters is a gradient through all of it.
 */
const TOLERANCES: Readonly<Record<Precision, Readonly<Record<string, number>>>> = {
  fp32: { y: 1e-5, dx: 1e-5, dw: 1e-5, logits: 1e-4, losses: 1e-4, update: 1e-3 },
  reduced: { y: 3e-3, dx: 3e-3, dw: 3e-3, logits: 3e-2, losses: 3e-2, update: 2e-1 },
};

export interface PeerAgreement {
  /** The result that comes nearest to its tolerance or exceeds it most. */
  readonly result: string;
  /** Null where values are missing or not finite. */
  readonly error: number | null;
  readonly tolerance: number;
  readonly ok: boolean;
}

/** Compares every result that we have. */
export function agreement(ours: Results, theirs: Results, precision: Precision): PeerAgreement {
  const found = Object.keys(ours).map((result): PeerAgreement => {
    const tolerance = TOLERANCES[precision][result];
    const error = theirs[result] ? relativeError(theirs[result], ours[result]) : null;
    return { result, error, tolerance, ok: error !== null && error <= tolerance };
  });
  const excess = ({ error, tolerance }: PeerAgreement) => (error ?? Number.POSITIVE_INFINITY) / tolerance;
  return found.reduce((a, b) => (excess(b) > excess(a) ? b : a));
}

/** || actual - expected || / || expected ||, in float64; null where that is no number. */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number | null {
  let [difference, norm] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    difference += (actual[i] - expected[i]) ** 2;
    norm += expected[i] ** 2;
  }
  const error = Math.sqrt(difference / norm);
  return actual.length === expected.length && Number.isFinite(error) ? error : null;
}
