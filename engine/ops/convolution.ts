import { packWeightsKernel } from '../../shaders/pack_weights.wgsl.ts';
import { ShapeError } from '../errors.ts';
import type { Recording } from '../recording.ts';
import { formatShape, product, type Triple, triple } from '../shape.ts';
import { channels, type Tensor, vec4s, volumeShape } from '../tensor.ts';

/** What all convolutions have in common: their options, and the weights as kernels want them. */

export interface Conv3dOptions {
  /** [z, y, x] or one number for all; default 1. */
  stride?: number | Triple;
  /** Zeros put around the input; default 0. */
  padding?: number | Triple;
  /** How the output is stored; default: as x is. */
  store?: 'f32' | 'bf16';
  /** 'f16' lets kernels round the factors of products to float16; sums are float32. Default 'f32'. */
  products?: 'f32' | 'f16';
  /** A norm comes next: kernels that can leave the statistics of the output, which then needs no pass over it. Default false. */
  moments?: boolean;
}

export interface Geometry {
  readonly kernel: Triple;
  readonly stride: Triple;
  readonly padding: Triple;
  readonly products?: 'f32' | 'f16';
}

/** Errors: ShapeError where x, w [kd,kh,kw,Cin,Cout] and bias [Cout] do not fit each other or the kernel exceeds x. */
export function geometryOf(
  op: string,
  x: Tensor,
  w: Tensor,
  bias: Tensor | null,
  { stride = 1, padding = 0, products = 'f32' }: Conv3dOptions,
): Geometry {
  const size = volumeShape(x, op);
  const [kd, kh, kw, cin, cout] = volumeShape(w, op);
  if (size[4] !== cin) throw new ShapeError(`${op}: input has ${size[4]} channels, weight expects ${cin} (${w.label})`);
  if (bias && (bias.shape.length !== 1 || bias.shape[0] !== cout)) {
    throw new ShapeError(`${op}: bias ${formatShape(bias.shape)} for ${cout} output channels (${bias.label})`);
  }
  const g: Geometry = { kernel: [kd, kh, kw], stride: triple(stride), padding: triple(padding), products };
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
  /** Further input channels, behind those of x, which then are a multiple of 4. */
  readonly also?: Tensor;
  /** Transposed, the input channels of w from here on, as many as y has; default 0. */
  readonly firstIn?: number;
  readonly w: Tensor;
  readonly y: Tensor;
  readonly bias?: Tensor;
  readonly transpose: boolean;
  readonly flip: boolean;
  /** The moments of y are wanted (Recording.noteMoments) where the kernel can leave them. */
  readonly moments?: boolean;
}

/** dw[t,ci,co] = sum over voxels o of x[n, o*stride - padding + t, ci] dy[n,o,co]. */
export interface WeightGradient extends Geometry {
  readonly x: Tensor;
  readonly dy: Tensor;
  readonly dw: Tensor;
  /** Where in dw's input channels those of x begin; default 0. */
  readonly firstIn?: number;
  /** dw is [t, co, ci]. Default false. */
  readonly swapped?: boolean;
}

/** Input channels of each vec4 for which a weight gradient has sums: with `swapped` the others' have to be zeros in dw. */
export const ownInputs = ({ x, swapped }: WeightGradient): number => (swapped ? 4 : Math.min(4, channels(x)));

export const taps = ({ kernel }: Geometry): number => product(kernel);

/** Weights an input and output channel as the kernel reads them: F(4, 3) has six points for three taps. */
export const packedTaps = (g: Geometry, winograd: boolean): number => taps(g) * (winograd ? 2 : 1);

/** Whether F(4, 3) along x computes this. */
export const winogradServes = ({ kernel, stride }: Geometry): boolean => kernel[2] === 3 && stride[2] === 1;

/** Input channels of x and `also`. */
export const inputChannels = ({ x, also }: Pick<Convolution, 'x' | 'also'>): number =>
  channels(x) + (also ? channels(also) : 0);

export const unitStride = ({ stride }: Geometry): boolean => stride.every((s) => s === 1);

/** What decides which way is the fastest: kernel, stride, channels, the power of two next to the output voxels, storage. */
export function convolutionKey(g: Geometry, x: Tensor, y: Tensor, cin = x.shape[4]): string {
  const voxels = product(y.shape.slice(0, -1));
  const between = `${cin}->${y.shape[4]}`;
  const stored = [x, y].some(({ dtype }) => dtype !== 'f32') ? ` ${x.dtype}->${y.dtype}` : '';
  const rounded = g.products === 'f16' ? ' f16' : '';
  return `k${g.kernel.join('x')} s${g.stride.join('x')} c${between} v${Math.round(Math.log2(voxels))}${stored}${rounded}`;
}

/** Where a kernel leaves the moments of each of `parts` of a sample of y, if they are wanted; to be noted behind its command. */
export function momentsFor(rec: Recording, { y, moments }: Convolution, parts: number): Tensor | undefined {
  return moments ? rec.tensor([y.shape[0] * parts * 3, channels(y)], `${y.label}.moments`) : undefined;
}

/** The part of w that a convolution takes. */
export const weightsOf = (problem: Convolution) => ({
  ...{ transpose: problem.transpose, flip: problem.flip, first: problem.firstIn ?? 0 },
  inputs: problem.transpose ? channels(problem.y) : problem.w.shape[3],
});

/** Rearranges weights [taps, Cin, Cout] into slices of vec4 columns (shaders/pack_weights.wgsl.ts). */
export function packWeights(
  rec: Recording,
  w: Tensor,
  out: Tensor,
  options: {
    transpose: boolean;
    flip: boolean;
    winograd?: boolean;
    slice: number;
    stride: number;
    /** Input channels to take, and the first of them; default all. */
    inputs?: number;
    first?: number;
  },
): void {
  const [kd, kh, kw, cin, cout] = w.shape;
  const { transpose, flip, winograd, slice, stride, inputs = cin, first = 0 } = options;
  const [rows, columns] = transpose ? [cout, inputs] : [inputs, cout];
  const count = vec4s(out);
  const params = { count, taps: kd * kh * kw, rows, columns, slice, pitch: w.pitch, stride, cin, first };
  rec.dispatch(packWeightsKernel({ transpose, flip, winograd }), { w, out }, params, count);
}
