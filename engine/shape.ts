/** Sizes and extents: pure arithmetic on shapes. */

export type Triple = readonly [number, number, number];

export function product(values: readonly number[]): number {
  return values.reduce((a, b) => a * b, 1);
}

export function ceilDiv(a: number, b: number): number {
  return Math.floor((a + b - 1) / b);
}

export function roundUp(a: number, to: number): number {
  return ceilDiv(a, to) * to;
}

/** Channels as they lie in memory: padded with zeros to a multiple of four, so that every access is a vec4. */
export function padChannels(channels: number): number {
  return roundUp(channels, 4);
}

export function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((n, i) => n === b[i]);
}

export function formatShape(shape: readonly number[]): string {
  return `[${shape.join(', ')}]`;
}

/** Output extent of a convolution or pooling along one axis (PyTorch's floor rule, dilation 1). */
export function convExtent(size: number, kernel: number, stride: number, padding: number): number {
  return Math.floor((size + 2 * padding - kernel) / stride) + 1;
}

/** Output extent of a transposed convolution along one axis (PyTorch's rule, output_padding 0). */
export function convTransposeExtent(size: number, kernel: number, stride: number, padding: number): number {
  return (size - 1) * stride - 2 * padding + kernel;
}

/** A single number or a triple [z, y, x]. */
export function triple(value: number | Triple): Triple {
  return typeof value === 'number' ? [value, value, value] : value;
}

/** The least power of two, 1 at least, that is not below x. */
export function powerOfTwo(x: number): number {
  return 2 ** Math.max(0, Math.ceil(Math.log2(x)));
}
