import { convTranspose3dKernel } from '../../shaders/conv_transpose3d.wgsl.ts';
import { type Conv3dVariant, conv3dKernel, packWeightsKernel, UNIFORM_WEIGHTS } from '../../shaders/conv3d.wgsl.ts';
import { conv3dGradWeightKernel, sumPartialsKernel } from '../../shaders/conv3d_grad_weight.wgsl.ts';
import { ShapeError } from '../errors.ts';
import type { Recording } from '../recording.ts';
import {
  ceilDiv,
  convExtent,
  convTransposeExtent,
  formatShape,
  padChannels,
  roundUp,
  type Triple,
  triple,
} from '../shape.ts';
import { channels, type Tensor, vec4s, volumeShape } from '../tensor.ts';
import { largestTile, tileWidth } from './conv3d_tiles.ts';
import { convolveWindows, gradWeightWindows, windowSlice } from './conv3d_windows.ts';
import { columnSums } from './reduce.ts';

export interface Conv3dOptions {
  /** [z, y, x] or one number for all; default 1. */
  stride?: number | Triple;
  /** Zeros put around the input; default 0. */
  padding?: number | Triple;
}

interface Geometry {
  kernel: Triple;
  stride: Triple;
  padding: Triple;
}

/**
 * y[n,o,co] = bias[co] + sum over taps t and ci of x[n, o*stride - padding + t, ci] w[t,ci,co]; torch.nn.functional.conv3d.
 * x [N,D,H,W,Cin], w [kd,kh,kw,Cin,Cout], bias [Cout] or null. dx is a convolution with flipped, transposed weights (stride
 * 1) or a transposed one; dw sums x times dy over voxels in two stages; dbias = sum of dy.
 */
export function conv3d(rec: Recording, x: Tensor, w: Tensor, bias: Tensor | null, options: Conv3dOptions = {}): Tensor {
  const g = geometry('conv3d', x, w, bias, options);
  const [n, ...size] = volumeShape(x, 'conv3d');
  const out = [0, 1, 2].map((a) => convExtent(size[a], g.kernel[a], g.stride[a], g.padding[a]));
  const y = rec.tensor([n, ...out, w.shape[4]], 'conv3d');
  convolve(rec, x, w, y, g, bias ? { bias } : {});
  return rec.node('conv3d', bias ? [x, w, bias] : [x, w], y, (dy, gradients) => {
    const dx = gradients.out(0);
    if (dx) adjoint(rec, dy, w, dx, g);
    const dw = gradients.out(1);
    if (dw) gradWeight(rec, x, dy, dw, g);
    if (bias?.requiresGrad) gradients.pass(2, columnSums(rec, dy));
  });
}

/**
 * The adjoint of conv3d as a layer: output = (input - 1) * stride - 2 padding + kernel; torch.nn.functional.conv_transpose3d.
 * x [N,D,H,W,Cin], w [kd,kh,kw,Cin,Cout], bias [Cout] or null.
 */
export function convTranspose3d(
  rec: Recording,
  x: Tensor,
  w: Tensor,
  bias: Tensor | null,
  options: Conv3dOptions = {},
): Tensor {
  const g = geometry('conv_transpose3d', x, w, bias, options);
  const [n, ...size] = volumeShape(x, 'conv_transpose3d');
  const out = [0, 1, 2].map((a) => convTransposeExtent(size[a], g.kernel[a], g.stride[a], g.padding[a]));
  const y = rec.tensor([n, ...out, w.shape[4]], 'conv_transpose3d');
  scatter(rec, x, w, y, g, bias ?? undefined);
  return rec.node('conv_transpose3d', bias ? [x, w, bias] : [x, w], y, (dy, gradients) => {
    const dx = gradients.out(0);
    if (dx) convolve(rec, dy, w, dx, g, { transpose: true });
    const dw = gradients.out(1);
    if (dw) {
      // The roles of x and dy are exchanged, so the sums come out as [taps, Cout, Cin].
      const [kd, kh, kw, cin, cout] = w.shape;
      const swapped = rec.tensor([kd, kh, kw, cout, cin], 'conv_transpose3d.dw');
      gradWeight(rec, dy, x, swapped, g);
      packWeights(rec, swapped, dw, { transpose: true, flip: false, slice: w.pitch / 4, stride: vec4s(dw) });
    }
    if (bias?.requiresGrad) gradients.pass(2, columnSums(rec, dy));
  });
}

function geometry(op: string, x: Tensor, w: Tensor, bias: Tensor | null, options: Conv3dOptions): Geometry {
  const size = volumeShape(x, op);
  const [kd, kh, kw, cin, cout] = volumeShape(w, op);
  if (size[4] !== cin) throw new ShapeError(`${op}: input has ${size[4]} channels, weight expects ${cin} (${w.label})`);
  if (bias && (bias.shape.length !== 1 || bias.shape[0] !== cout)) {
    throw new ShapeError(`${op}: bias ${formatShape(bias.shape)} for ${cout} output channels (${bias.label})`);
  }
  const g: Geometry = {
    kernel: [kd, kh, kw],
    stride: triple(options.stride ?? 1),
    padding: triple(options.padding ?? 0),
  };
  for (const a of [0, 1, 2]) {
    if (size[a + 1] + 2 * g.padding[a] < g.kernel[a]) {
      throw new ShapeError(
        `${op}: axis ${'zyx'[a]} of '${x.label}' has ${size[a + 1]} voxels (+ 2 x ${g.padding[a]} padding), the kernel needs ${g.kernel[a]}`,
      );
    }
  }
  return g;
}

/** y = conv3d(x, w), or with `transpose` conv3d(x, w with Cin and Cout exchanged), taps flipped on request. */
function convolve(
  rec: Recording,
  x: Tensor,
  w: Tensor,
  y: Tensor,
  g: Geometry,
  options: { bias?: Tensor; transpose?: boolean; flip?: boolean },
): void {
  const [n, depth, height, width, cin] = x.shape;
  const [, outDepth, outHeight, outWidth] = y.shape;
  const cout4 = y.pitch / 4;
  const taps = g.kernel[0] * g.kernel[1] * g.kernel[2];
  const { transpose = false, flip = false, bias } = options;
  const windows = g.stride.every((s) => s === 1) ? windowSlice(rec, x, y, g) : 0;
  if (windows > 0) {
    const packed = rec.tensor([ceilDiv(cout4, windows), UNIFORM_WEIGHTS, 4], `${w.label}.packed`);
    packWeights(rec, w, packed, { transpose, flip, slice: windows, stride: UNIFORM_WEIGHTS });
    convolveWindows(rec, x, y, g, { packed, slice: windows, bias });
    return;
  }
  const uniformSlice = Math.floor(UNIFORM_WEIGHTS / (taps * cin));
  const uniform = rec.device.software && uniformSlice > 0;
  const tileC = largestTile(cout4, uniform ? uniformSlice : 4);
  const tileX = tileWidth(outWidth, rec.device.software ? (tileC === 4 ? 8 : 16) : 4);
  const slice = uniform ? Math.min(cout4, Math.floor(uniformSlice / tileC) * tileC) : cout4;
  const slices = ceilDiv(cout4, slice);

  let packed = w;
  if (uniform || transpose || flip) {
    const stride = uniform ? UNIFORM_WEIGHTS : roundUp(taps * cin * slice, 16);
    packed = rec.tensor([slices, stride, 4], `${w.label}.packed`);
    packWeights(rec, w, packed, { transpose, flip, slice, stride });
  }
  const variant: Conv3dVariant = {
    kernel: g.kernel,
    stride: g.stride,
    tileX,
    tileC,
    uniformWeights: uniform,
    tail: cin % 4,
    bias: bias !== undefined,
  };
  for (let s = 0; s < slices; s++) {
    const size = Math.min(slice, cout4 - s * slice);
    const tiles = ceilDiv(outWidth, tileX);
    const groups = ceilDiv(size, tileC);
    const count = n * groups * outDepth * outHeight * tiles;
    const weights = uniform
      ? { ...packed, shape: [UNIFORM_WEIGHTS, 4], offset: packed.offset + s * UNIFORM_WEIGHTS * 16 }
      : packed;
    rec.dispatch(
      conv3dKernel(variant),
      bias ? { x, w: weights, y, bias } : { x, w: weights, y },
      {
        ...{ count, tiles, groups, depth, height, width, cin },
        ...{
          out_depth: outDepth,
          out_height: outHeight,
          out_width: outWidth,
          cout4,
          slice,
          first: s * slice,
          owned: size,
        },
        ...{ pad_z: g.padding[0], pad_y: g.padding[1], pad_x: g.padding[2] },
      },
      count,
    );
  }
}

/** dx of conv3d: with stride 1 a convolution with flipped, transposed weights, else a transposed convolution. */
function adjoint(rec: Recording, dy: Tensor, w: Tensor, dx: Tensor, g: Geometry): void {
  if (g.stride.every((s) => s === 1)) {
    const padding = g.kernel.map((k, a) => k - 1 - g.padding[a]) as unknown as Triple;
    if (padding.every((pad) => pad >= 0)) {
      convolve(rec, dy, w, dx, { ...g, padding }, { transpose: true, flip: true });
      return;
    }
  }
  const [kd, kh, kw, cin, cout] = w.shape;
  const transposed = rec.tensor([kd, kh, kw, cout, cin], `${w.label}.transposed`);
  packWeights(rec, w, transposed, { transpose: true, flip: false, slice: dx.pitch / 4, stride: vec4s(transposed) });
  scatter(rec, dy, transposed, dx, g);
}

/** y = conv_transpose3d(x, w). */
function scatter(rec: Recording, x: Tensor, w: Tensor, y: Tensor, g: Geometry, bias?: Tensor): void {
  const [n, depth, height, width, cin] = x.shape;
  const [, outDepth, outHeight, outWidth] = y.shape;
  const tileX = tileWidth(ceilDiv(outWidth, g.stride[2]), 4);
  const tiles = ceilDiv(ceilDiv(outWidth, g.stride[2]), tileX);
  const cout4 = y.pitch / 4;
  const count = n * outDepth * outHeight * tiles * g.stride[2] * cout4;
  rec.dispatch(
    convTranspose3dKernel({ kernel: g.kernel, stride: g.stride, tileX, tail: cin % 4, bias: bias !== undefined }),
    bias ? { x, w, y, bias } : { x, w, y },
    {
      ...{ count, tiles, depth, height, width, cin },
      ...{ out_depth: outDepth, out_height: outHeight, out_width: outWidth, cout4 },
      ...{ pad_z: g.padding[0], pad_y: g.padding[1], pad_x: g.padding[2] },
    },
    count,
  );
}

/**
 * The weight gradient of conv3d with stride 1 as an op of its own: y[t, ci, co] = sum over voxels o of x[o - padding + t, ci]
 * dy[o, co]. x [N,D,H,W,Cin], dy [N,...,Cout] as conv3d's output for this kernel; [kd,kh,kw,Cin,Cout]. No gradient.
 */
export function correlate3d(rec: Recording, x: Tensor, dy: Tensor, kernel: Triple, padding: Triple): Tensor {
  const y = rec.tensor([...kernel, channels(x), channels(dy)], 'correlate3d');
  gradWeight(rec, x, dy, y, { kernel, stride: [1, 1, 1], padding });
  return y;
}

/** Invocations aimed at: enough to fill the adapter, few enough that their partial sums add up quickly. */
const GRAD_WEIGHT_INVOCATIONS = { software: 1024, hardware: 65536 };
const GRAD_WEIGHT_BYTES = 16 * 1024 * 1024;

/** dw[t,ci,co] = sum over voxels o of x[o*stride - padding + t, ci] dy[o,co], through partial sums over chunks of rows. */
function gradWeight(rec: Recording, x: Tensor, dy: Tensor, dw: Tensor, g: Geometry): void {
  const [n, depth, height, width] = x.shape;
  const [, outDepth, outHeight, outWidth] = dy.shape;
  const [kd, kh, kw, cin, cout] = dw.shape;
  const cin4 = padChannels(cin) / 4;
  const cout4 = padChannels(cout) / 4;
  const stride = kd * kh * kw * cin4 * 4 * cout4;
  const windows = g.stride.every((s) => s === 1) ? gradWeightWindows(rec, x, dy, dw, g) : undefined;
  if (windows) {
    sumPartials(rec, windows, dw, stride);
    return;
  }
  const tileI = largestTile(cin4, 2);
  const tileC = largestTile(cout4, 2);
  const perChunk = kd * kh * (cin4 / tileI) * (cout4 / tileC);
  const rows = n * outDepth * outHeight;
  const aim = GRAD_WEIGHT_INVOCATIONS[rec.device.software ? 'software' : 'hardware'];
  const wanted = Math.min(ceilDiv(aim, perChunk), Math.max(1, Math.floor(GRAD_WEIGHT_BYTES / (stride * 16))));
  const chunkRows = ceilDiv(rows, Math.min(rows, wanted));
  const chunks = ceilDiv(rows, chunkRows);
  const partial = rec.tensor([chunks, stride, 4], `${dw.label}.partial`);
  const count = chunks * perChunk;
  const unroll = tileWidth(outWidth, 4);
  rec.dispatch(
    conv3dGradWeightKernel({ kernel: g.kernel, stride: g.stride, unroll, tileI, tileC, lanes: Math.min(4, cin) }),
    { x, dy, partial },
    {
      ...{ count, chunk_rows: chunkRows, rows, rows_zy: kd * kh, depth, height, width, cin4, groups_in: cin4 / tileI },
      ...{ out_depth: outDepth, out_height: outHeight, out_width: outWidth, cout4, groups_out: cout4 / tileC },
      ...{ pad_z: g.padding[0], pad_y: g.padding[1], pad_x: g.padding[2] },
    },
    count,
  );
  sumPartials(rec, partial, dw, stride);
}

/** dw = the sum of partial [chunks, stride, 4] over the chunks. */
function sumPartials(rec: Recording, partial: Tensor, dw: Tensor, stride: number): void {
  const [, , , cin, cout] = dw.shape;
  const params = {
    count: vec4s(dw),
    chunks: partial.shape[0],
    cin,
    cin_padded: padChannels(cin),
    cout4: padChannels(cout) / 4,
    stride,
  };
  rec.dispatch(sumPartialsKernel(), { partial, dw }, params, params.count);
}

/** Rearranges weights [taps, Cin, Cout] into slices of vec4 columns (shaders/conv3d.wgsl.ts, pack_weights). */
function packWeights(
  rec: Recording,
  w: Tensor,
  out: Tensor,
  options: { transpose: boolean; flip: boolean; slice: number; stride: number },
): void {
  const [kd, kh, kw, cin, cout] = w.shape;
  const { transpose, flip, slice, stride } = options;
  const count = vec4s(out);
  rec.dispatch(
    packWeightsKernel({ transpose, flip }),
    { w, out },
    {
      count,
      taps: kd * kh * kw,
      rows: transpose ? cout : cin,
      columns: transpose ? cin : cout,
      slice,
      pitch: w.pitch,
      stride,
    },
    count,
  );
}
