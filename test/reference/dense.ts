/**
 * The oracles' tensor: float64, dense, channels last. Activations [N,D,H,W,C], convolution weights [kd,kh,kw,Cin,Cout],
 * matrices [rows, cols]; the last axis runs fastest. The loops beside this file are written to be diffed with a kernel.
 */
export type Dense = { shape: number[]; data: Float64Array };

/** Spatial triples are [z, y, x]. */
export type Triple = readonly [number, number, number];

export const count = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

export const zeros = (shape: readonly number[]): Dense => ({ shape: [...shape], data: new Float64Array(count(shape)) });

export const dense = (shape: readonly number[], values: ArrayLike<number>): Dense => {
  if (values.length !== count(shape)) throw new Error(`${values.length} values do not fill [${shape}]`);
  return { shape: [...shape], data: Float64Array.from(values) };
};

/** [rows, width]: every axis but the last folded into one. */
export const rowsOf = (x: Dense): [number, number] => {
  const width = x.shape[x.shape.length - 1];
  return [x.data.length / width, width];
};

/** Uniform in [-1, 1), each value representable in float32, so that a kernel and its oracle read the same numbers (mulberry32). */
export function random(shape: readonly number[], seed: number): Dense {
  const x = zeros(shape);
  let state = seed >>> 0;
  for (let i = 0; i < x.data.length; i++) {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    x.data[i] = Math.fround(((t ^ (t >>> 14)) >>> 0) / 2 ** 31 - 1);
  }
  return x;
}

/** Multiples of 1/64 below 1, which float16 and bfloat16 hold: a kernel that rounds its factors rounds none of these. */
export function halves(shape: number[], seed: number): Dense {
  const values = random(shape, seed);
  return { ...values, data: values.data.map((value) => Math.round(value * 63) / 64) };
}
