import { packWeightsKernel } from '../../shaders/conv3d.wgsl.ts';
import { ShapeError } from '../errors.ts';
import type { Recording } from '../recording.ts';
import { formatShape, product, type Triple, triple } from '../shape.ts';
import { type Tensor, vec4s, volumeShape } from '../tensor.ts';

/** What all convolutions have in common: their options, and the weights as kernels want them. */

export interface Conv3dOptions {
  /** [z, y, x] or one number for all; default 1. */
  stride?: number | Triple;
  /** Zeros put around the input; default 0. */
  padding?: number | Triple;
  /** How the output is stored; default: as x is. */
  store?: 'f32' | 'bf16';
}

export interface Geometry {
  readonly kernel: Triple;
  readonly stride: Triple;
  readonly padding: Triple;
}

/** Errors: ShapeError where x, w [kd,kh,kw,Cin,Cout] and bias [Cout] do not fit each other or the kernel exceeds x. */
export function geometryOf(
  op: string,
  x: Tensor,
  w: Tensor,
  bias: Tensor | null,
  { stride = 1, padding = 0 }: Conv3dOptions,
): Geometry {
  const size = volumeShape(x, op);
  const [kd, kh, kw, cin, cout] = volumeShape(w, op);
  if (size[4] !== cin) throw new ShapeError(`${op}: input has ${size[4]} channels, weight expects ${cin} (${w.label})`);
  if (bias && (bias.shape.length !== 1 || bias.shape[0] !== cout)) {
    throw new ShapeError(`${op}: bias ${formatShape(bias.shape)} for ${cout} output channels (${bias.label})`);
  }
  const g: Geometry = { kernel: [kd, kh, kw], stride: triple(stride), padding: triple(padding) };
  for (const a of [0, 1, 2]) {
    if (size[a + 1] + 2 * g.padding[a] < g.kernel[a]) {
      throw new ShapeError(
        `${op}: axis ${'zyx'[a]} of '${x.label}' has ${size[a + 1]} voxels (+ 2 x ${g.padding[a]} padding), the kernel needs ${g.kernel[a]}`,
      );
    }
  }
  return g;
}

/**
 * y = bias + conv3d(x, w), or with `transpose` conv3d(x, w with Cin and Cout exchanged), with `flip` its taps in reverse:
 * an input gradient is both. x [N,D,H,W,Cin]; w [kd,kh,kw,Cin,Cout] or, transposed, [kd,kh,kw,Cout,Cin].
 */
export interface Convolution extends Geometry {
  readonly x: Tensor;
  readonly w: Tensor;
  readonly y: Tensor;
  readonly bias?: Tensor;
  readonly transpose: boolean;
  readonly flip: boolean;
}

/** dw[t,ci,co] = sum over voxels o of x[n, o*stride - padding + t, ci] dy[n,o,co]. */
export interface WeightGradient extends Geometry {
  readonly x: Tensor;
  readonly dy: Tensor;
  readonly dw: Tensor;
}

export const taps = ({ kernel }: Geometry): number => product(kernel);

/** Weights an input and output channel as the kernel reads them: F(4, 3) has six points for three taps. */
export const packedTaps = (g: Geometry, winograd: boolean): number => taps(g) * (winograd ? 2 : 1);

/** Whether F(4, 3) along x computes this. */
export const winogradServes = ({ kernel, stride }: Geometry): boolean => kernel[2] === 3 && stride[2] === 1;

export const unitStride = ({ stride }: Geometry): boolean => stride.every((s) => s === 1);

/** Kernel, stride, channels, the power of two next to the number of output voxels, and how both are stored: what decides which way is the fastest. */
export function convolutionKey(g: Geometry, x: Tensor, y: Tensor): string {
  const voxels = product(y.shape.slice(0, -1));
  const channels = `${x.shape[4]}->${y.shape[4]}`;
  const stored = [x, y].some(({ dtype }) => dtype !== 'f32') ? ` ${x.dtype}->${y.dtype}` : '';
  return `k${g.kernel.join('x')} s${g.stride.join('x')} c${channels} v${Math.round(Math.log2(voxels))}${stored}`;
}

/** Rearranges weights [taps, Cin, Cout] into slices of vec4 columns (shaders/conv3d.wgsl.ts, pack_weights). */
export function packWeights(
  rec: Recording,
  w: Tensor,
  out: Tensor,
  options: { transpose: boolean; flip: boolean; winograd?: boolean; slice: number; stride: number },
): void {
  const [kd, kh, kw, cin, cout] = w.shape;
  const { transpose, flip, winograd, slice, stride } = options;
  const [rows, columns] = transpose ? [cout, cin] : [cin, cout];
  const count = vec4s(out);
  const params = { count, taps: kd * kh * kw, rows, columns, slice, pitch: w.pitch, stride };
  rec.dispatch(packWeightsKernel({ transpose, flip, winograd }), { w, out }, params, count);
}
