/**
 * Counter-based random numbers: the same (seed, step, stream, index) gives the same draw on the host and on the device
 * (shaders/shared/random.ts is the twin), so nothing but counters needs saving to resume exactly.
 *
 * Source: pcg4d, M. Jarzynski and M. Olano, "Hash Functions for GPU Rendering", JCGT 9(3), 2020.
 */

const { imul } = Math;

/** Four well-mixed 32-bit words from four counters. */
export function pcg4d(a: number, b: number, c: number, d: number): [number, number, number, number] {
  let x = (imul(a, 1664525) + 1013904223) | 0;
  let y = (imul(b, 1664525) + 1013904223) | 0;
  let z = (imul(c, 1664525) + 1013904223) | 0;
  let w = (imul(d, 1664525) + 1013904223) | 0;
  x = (x + imul(y, w)) | 0;
  y = (y + imul(z, x)) | 0;
  z = (z + imul(x, y)) | 0;
  w = (w + imul(y, z)) | 0;
  x ^= x >>> 16;
  y ^= y >>> 16;
  z ^= z >>> 16;
  w ^= w >>> 16;
  x = (x + imul(y, w)) | 0;
  y = (y + imul(z, x)) | 0;
  z = (z + imul(x, y)) | 0;
  w = (w + imul(y, z)) | 0;
  return [x >>> 0, y >>> 0, z >>> 0, w >>> 0];
}

/** A 32-bit word as a float32 in [0, 1): the upper 24 bits, so that host and device agree exactly. */
export function unit(word: number): number {
  return (word >>> 8) / 16777216;
}

/** A stream of host draws: word i of stream (seed, stream, substream) is a function of i alone. */
export class Stream {
  readonly seed: number;
  readonly stream: number;
  readonly substream: number;
  counter = 0;
  private words: [number, number, number, number] = [0, 0, 0, 0];

  constructor(seed: number, stream = 0, substream = 0) {
    this.seed = seed >>> 0;
    this.stream = stream >>> 0;
    this.substream = substream >>> 0;
  }

  /** The next 32-bit word. */
  word(): number {
    const lane = this.counter & 3;
    if (lane === 0) this.words = pcg4d(this.seed, this.stream, this.substream, this.counter >>> 2);
    this.counter++;
    return this.words[lane];
  }

  /** Uniform in [low, high), 24 bits. */
  uniform(low = 0, high = 1): number {
    return low + (high - low) * unit(this.word());
  }

  /** Normal by Box and Muller (1958). */
  normal(mean = 0, sd = 1): number {
    const radius = Math.sqrt(-2 * Math.log(1 - unit(this.word())));
    return mean + sd * radius * Math.cos(2 * Math.PI * unit(this.word()));
  }

  /** Uniform integer in [0, n), unbiased to 2^-32. */
  integer(n: number): number {
    return Math.floor((this.word() / 4294967296) * n);
  }

  /** A Fisher-Yates permutation of 0..n-1. */
  permutation(n: number): number[] {
    const order = Array.from({ length: n }, (_, i) => i);
    for (let i = n - 1; i > 0; i--) {
      const j = this.integer(i + 1);
      [order[i], order[j]] = [order[j], order[i]];
    }
    return order;
  }
}
