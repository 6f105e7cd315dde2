import { Stream } from '../random.ts';
import { product } from '../shape.ts';

/** First values of a parameter: dense, in the order of its shape. */
export type Init = (shape: readonly number[], stream: Stream) => Float32Array<ArrayBuffer>;

export const zeros: Init = (shape) => new Float32Array(product(shape));

export const ones: Init = (shape) => new Float32Array(product(shape)).fill(1);

/** These, whatever the seed. */
export function values(of: readonly number[]): Init {
  return () => Float32Array.from(of);
}

/** N(0, std^2). torch.nn.init.normal_. */
export function normal(std: number): Init {
  return (shape, stream) => Float32Array.from({ length: product(shape) }, () => stream.normal(0, std));
}

/** Uniform in [-bound, bound). What torch.nn.Linear and Conv3d draw weights and biases from, with bound 1 / sqrt(fan-in). */
export function uniform(bound: number): Init {
  return (shape, stream) => Float32Array.from({ length: product(shape) }, () => stream.uniform(-bound, bound));
}

/**
 * N(0, 2 / ((1 + slope^2) fanIn)) for a layer followed by a leaky ReLU of that slope (He et al. 2015).
 * torch.nn.init.kaiming_normal_(a=slope, mode='fan_in', nonlinearity='leaky_relu').
 */
export function kaimingNormal(fanIn: number, slope = 0): Init {
  return normal(Math.sqrt(2 / ((1 + slope * slope) * fanIn)));
}

/** Fan-in of a convolution [kd, kh, kw, Cin, Cout] or a linear layer [in, out]: all axes but the last. */
export function fanIn(shape: readonly number[]): number {
  return product(shape.slice(0, -1));
}

/**
 * What PyTorch takes for the fan-in of a transposed convolution [kd, kh, kw, Cin, Cout]: its weight is stored
 * [Cin, Cout, ...] and the second axis counts, so kd kh kw Cout.
 */
export function transposedFanIn(shape: readonly number[]): number {
  return product(shape) / shape[shape.length - 2];
}

/** The stream a parameter draws from: its seed and its name decide, not its place among the others (FNV-1a hash). */
export function parameterStream(seed: number, name: string): Stream {
  let hash = 0x811c9dc5;
  for (const character of name) hash = Math.imul(hash ^ (character.codePointAt(0) as number), 0x01000193);
  return new Stream(seed, hash);
}
