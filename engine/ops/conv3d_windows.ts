import { UNIFORM_WEIGHTS } from '../../shaders/conv3d.wgsl.ts';
import { conv3dGradWeightWindowsKernel, conv3dWindowsKernel } from '../../shaders/conv3d_windows.wgsl.ts';
import type { Recording } from '../recording.ts';
import { ceilDiv, type Triple } from '../shape.ts';
import { type Tensor, vec4s } from '../tensor.ts';
import { largestTile, tileWidth } from './conv3d_tiles.ts';
import { uniformAlignment, WINDOW, windowable, windowOf } from './uniform_windows.ts';

/**
 * Convolutions that read activations through uniform windows (shaders/conv3d_windows.wgsl.ts). Each output plane is one
 * dispatch or, where a plane exceeds a window, a few: many small dispatches, which software adapters do not mind.
 */

/** Beyond this many dispatches for one convolution the general kernel is taken. */
const MOST_DISPATCHES = 2048;

export interface WindowGeometry {
  readonly kernel: Triple;
  readonly padding: Triple;
}

/** Rows of a plane that fit a window together with the kernel's reach, or 0; alignment steals a few vec4. */
function rowsInWindow(t: Tensor, reach: number, alignment: number): number {
  const [, , height, width] = t.shape;
  const row = width * (t.pitch / 4);
  if (vec4s(t) <= WINDOW || row * height + alignment <= WINDOW) return height;
  return Math.floor((WINDOW - alignment) / row) - reach;
}

export interface WindowConvolution {
  /** Slices of UNIFORM_WEIGHTS vec4, `slice` vec4 of output channels each. */
  readonly packed: Tensor;
  readonly slice: number;
  readonly bias?: Tensor;
}

/** vec4 of output channels per slice of packed weights, or 0 where windows do not serve this convolution. */
export function windowSlice(rec: Recording, x: Tensor, y: Tensor, { kernel }: WindowGeometry): number {
  if (!windowable(rec, x)) return 0;
  const [n, , , , cin] = x.shape;
  const cout4 = y.pitch / 4;
  const fits = Math.floor(UNIFORM_WEIGHTS / (kernel[0] * kernel[1] * kernel[2] * cin));
  const rows = rowsInWindow(x, kernel[1] - 1, uniformAlignment(rec));
  if (fits < 1 || rows < 1) return 0;
  const tileC = largestTile(cout4, fits);
  const slice = Math.min(cout4, Math.floor(fits / tileC) * tileC);
  return n * y.shape[1] * ceilDiv(y.shape[2], rows) * ceilDiv(cout4, slice) <= MOST_DISPATCHES ? slice : 0;
}

/** y = conv3d(x, w) with stride 1. */
export function convolveWindows(
  rec: Recording,
  x: Tensor,
  y: Tensor,
  g: WindowGeometry,
  options: WindowConvolution,
): void {
  const { packed, slice, bias } = options;
  const [kd, kh] = g.kernel;
  const [n, depth, height, width, cin] = x.shape;
  const [, outDepth, outHeight, outWidth] = y.shape;
  const alignment = uniformAlignment(rec);
  const cin4 = x.pitch / 4;
  const cout4 = y.pitch / 4;
  const tileC = largestTile(cout4, slice);
  const tileX = tileWidth(outWidth, tileC === 4 ? 8 : 16);
  const tiles = ceilDiv(outWidth, tileX);
  const band = Math.min(outHeight, rowsInWindow(x, kh - 1, alignment));
  const plane = height * width * cin4;
  const kernel = conv3dWindowsKernel({
    kernel: g.kernel,
    tileX,
    tileC,
    tail: cin % 4,
    bias: !!bias,
    window: Math.min(WINDOW, vec4s(x)),
  });
  for (let s = 0; s * slice < cout4; s++) {
    const weights: Tensor = {
      ...packed,
      shape: [UNIFORM_WEIGHTS, 4],
      offset: packed.offset + s * UNIFORM_WEIGHTS * 16,
    };
    const groups = ceilDiv(Math.min(slice, cout4 - s * slice), tileC);
    for (let out = 0; out < n * outDepth; out++) {
      const sample = Math.floor(out / outDepth);
      for (let first = 0; first < outHeight; first += band) {
        const rows = Math.min(band, outHeight - first);
        const tensors: Record<string, Tensor> = bias ? { w: weights, y, bias } : { w: weights, y };
        const bases: Record<string, number> = {};
        let planes = 0;
        for (let kz = 0; kz < kd; kz++) {
          const z = (out % outDepth) + kz - g.padding[0];
          const inside = z >= 0 && z < depth;
          if (inside) planes |= 1 << kz;
          const origin = (sample * depth + (inside ? z : 0)) * plane;
          const from = origin + Math.max(0, first - g.padding[1]) * width * cin4;
          const { view, base } = windowOf(x, origin, from, alignment);
          tensors[`x${kz}`] = view;
          bases[`base${kz}`] = base;
        }
        const count = tiles * rows * groups;
        rec.dispatch(
          kernel,
          tensors,
          {
            ...{ count, tiles, rows, first_row: first, height, width, cin, out_width: outWidth, planes, ...bases },
            ...{ cout4, slice, first: s * slice, out_plane: out * outHeight * outWidth * cout4 },
            ...{ pad_y: g.padding[1], pad_x: g.padding[2] },
          },
          count,
        );
      }
    }
  }
}

/** Invocations aimed at in one plane's dispatch: a few for each core. */
const PLANE_INVOCATIONS = 32;

/**
 * Partial sums of dw with stride 1, [chunks, taps x Cin padded x Cout in vec4, 4], or undefined where windows do not serve.
 */
export function gradWeightWindows(
  rec: Recording,
  x: Tensor,
  dy: Tensor,
  dw: Tensor,
  g: WindowGeometry,
): Tensor | undefined {
  if (!windowable(rec, x, dy)) return undefined;
  const [kd, kh, kw] = g.kernel;
  const [n, depth, height, width, cin] = x.shape;
  const [, outDepth, outHeight, outWidth] = dy.shape;
  const alignment = uniformAlignment(rec);
  const band = Math.min(outHeight, rowsInWindow(x, kh - 1, alignment), rowsInWindow(dy, 0, alignment));
  const bands = ceilDiv(outHeight, band);
  if (band < 1 || n * outDepth * bands * kd > MOST_DISPATCHES) return undefined;
  const cin4 = x.pitch / 4;
  const cout4 = dy.pitch / 4;
  const tileI = largestTile(cin4, 2);
  const tileC = largestTile(cout4, 2);
  const perRow = kh * (cin4 / tileI) * (cout4 / tileC);
  const chunkRows = ceilDiv(band, Math.min(band, ceilDiv(PLANE_INVOCATIONS, perRow)));
  const chunks = ceilDiv(band, chunkRows);
  const stride = kd * kh * kw * cin4 * 4 * cout4;
  const partial = rec.tensor([n * outDepth * bands * chunks, stride, 4], `${dw.label}.partial`);
  rec.clear(partial);
  const kernel = conv3dGradWeightWindowsKernel({
    ...{ kernel: g.kernel, unroll: tileWidth(outWidth, 4), tileI, tileC, lanes: Math.min(4, cin) },
    ...{ windowX: Math.min(WINDOW, vec4s(x)), windowDy: Math.min(WINDOW, vec4s(dy)) },
  });
  for (let out = 0; out < n * outDepth; out++) {
    const originDy = out * outHeight * outWidth * cout4;
    for (let b = 0; b < bands; b++) {
      const first = b * band;
      const last = Math.min(outHeight, first + band);
      const { view: dyView, base: baseDy } = windowOf(dy, originDy, originDy + first * outWidth * cout4, alignment);
      for (let kz = 0; kz < kd; kz++) {
        const z = (out % outDepth) + kz - g.padding[0];
        if (z < 0 || z >= depth) continue;
        const origin = (Math.floor(out / outDepth) * depth + z) * height * width * cin4;
        const { view, base } = windowOf(
          x,
          origin,
          origin + Math.max(0, first - g.padding[1]) * width * cin4,
          alignment,
        );
        const count = ceilDiv(last - first, chunkRows) * perRow;
        rec.dispatch(
          kernel,
          { x: view, dy: dyView, partial },
          {
            ...{ count, groups_in: cin4 / tileI, groups_out: cout4 / tileC, kz, chunk_rows: chunkRows },
            ...{ first_chunk: (out * bands + b) * chunks, first_row: first, last_row: last, height, width, cin4 },
            ...{ out_width: outWidth, cout4, rows_zy: kd * kh, pad_y: g.padding[1], pad_x: g.padding[2] },
            ...{ base_x: base, base_dy: baseDy },
          },
          count,
        );
      }
    }
  }
  return partial;
}
