/** Values to compute with, and the few results that are computed again in float64 to judge a kernel by. */
import { Stream } from '../../engine/random.ts';

/** Results of a kernel as they should be. */
export interface Sampled {
  /** Places in the dense tensor, without padding. */
  readonly at: readonly number[];
  /** In float64, from the float32 inputs. */
  readonly expected: readonly number[];
  /** Length of the longest sum behind one of them. */
  readonly terms: number;
}

/** Products that the float64 loops of one tensor may take. */
const TERMS = 2_000_000;
const MOST = 256;
const FEWEST = 8;

/** How many results are computed again where each is a sum of `terms`. */
export function sampleCount(terms: number): number {
  return Math.min(MOST, Math.max(FEWEST, Math.floor(TERMS / terms)));
}

/** `count` places below `total` in no order, the first and the last among them. */
export function places(total: number, count: number, seed = 1): number[] {
  const stream = new Stream(seed, 0xbe9c);
  const inner = Array.from({ length: Math.max(0, Math.min(count, total) - 2) }, () => stream.integer(total));
  return [...new Set([0, total - 1, ...inner])];
}

/** Uniform in [-1, 1), multiples of 2^-bits (mulberry32): fast, since whole volumes are made of it. */
export function noise(count: number, seed: number, bits = 23): Float32Array<ArrayBuffer> {
  const values = new Float32Array(count);
  let state = Math.imul(seed, 0x9e3779b9) >>> 0;
  for (let i = 0; i < count; i++) {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    values[i] = ((t ^ (t >>> 14)) >>> (31 - bits)) / 2 ** bits - 1;
  }
  return values;
}

export interface Agreement {
  /** Largest difference; infinite where a result is NaN. */
  readonly error: number;
  /** What float32 explains. */
  readonly tolerance: number;
  readonly ok: boolean;
}

/** Roundings of a long sum spread like a random walk; this many standard deviations are let pass. */
const DEVIATIONS = 8;

/** What exp, log and division may be off by. */
const FUNCTIONS = 1e-6;

/** What float32 explains of a sum of `terms`, relative to the largest result: 1e-6 + 8 sqrt(terms) 2^-24. */
export function toleranceOf(terms: number): number {
  return FUNCTIONS + DEVIATIONS * Math.sqrt(terms) * 2 ** -24;
}

/** Compares a tensor's dense values with some of those it should have; lets toleranceOf(terms) of the largest pass. */
export function compare(actual: ArrayLike<number>, { at, expected, terms }: Sampled): Agreement {
  let error = 0;
  let scale = 0;
  for (const [i, place] of at.entries()) {
    const difference = Math.abs(actual[place] - expected[i]);
    error = Math.max(error, Number.isNaN(difference) ? Infinity : difference);
    scale = Math.max(scale, Math.abs(expected[i]));
  }
  const tolerance = toleranceOf(terms) * scale;
  return { error, tolerance, ok: error <= tolerance };
}
