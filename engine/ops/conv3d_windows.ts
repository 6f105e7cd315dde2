import { UNIFORM_WEIGHTS } from '../../shaders/conv3d.wgsl.ts';
import { conv3dWindowsKernel } from '../../shaders/conv3d_windows.wgsl.ts';
import { inputVec4s } from '../../shaders/shared/input_vec4s.ts';
import type { Device } from '../device.ts';
import type { Recording } from '../recording.ts';
import { ceilDiv } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { Way } from '../ways.ts';
import { largestTile, tileWidth, wastesLittle } from './conv3d_tiles.ts';
import { type Convolution, packedTaps, packWeights, unitStride, weightsOf, winogradServes } from './convolution.ts';
import { rowsInWindow, uniformAlignment, windowable, windowOf, windowSize } from './uniform_windows.ts';

/** vec4 of output channels in a tile: with 4, and 8 voxels in place of 16, llvmpipe was a tenth slower and compiled 3 s longer. */
const MOST_TILE_C = 2;

/** Beyond this many dispatches for one convolution the general kernel is taken. */
export const MOST_DISPATCHES = 2048;

/**
 * Reads activations through uniform windows (shaders/conv3d_windows.wgsl.ts): stride 1, with F(4, 3) along x on request. Each
 * output plane is one dispatch or, where a plane exceeds a window, a few: many small ones, which software adapters do not mind.
 */
export const windows = ({ winograd = false } = {}): Way<Convolution> => ({
  name: winograd ? 'windows winograd' : 'windows',
  serves: (device, problem) =>
    unitStride(problem) &&
    !problem.also &&
    (!winograd || (winogradServes(problem) && wastesLittle(problem.y.shape[3], 4))) &&
    windowSlice(device, problem, winograd) > 0,
  record(rec, problem) {
    const { x, w, y } = problem;
    const slice = windowSlice(rec.device, problem, winograd);
    const packed = rec.tensor([ceilDiv(y.pitch / 4, slice), UNIFORM_WEIGHTS, 4], `${w.label}.packed`);
    packWeights(rec, w, packed, { ...weightsOf(problem), winograd, slice, stride: UNIFORM_WEIGHTS });
    const most = rowsInWindow(x, problem.kernel[1] - 1, uniformAlignment(rec.device));
    convolve(rec, problem, { packed, slice, winograd }, most);
  },
});

/** vec4 of output channels per slice of packed weights, or 0 where windows do not serve this convolution. */
function windowSlice(device: Device, { x, y, ...g }: Convolution, winograd: boolean): number {
  if (!windowable(device, x)) return 0;
  const [n, , , , cin] = x.shape;
  const cout4 = y.pitch / 4;
  const fits = Math.floor(UNIFORM_WEIGHTS / (packedTaps(g, winograd) * cin));
  const rows = rowsInWindow(x, g.kernel[1] - 1, uniformAlignment(device));
  if (fits < 1 || rows < 1) return 0;
  const tileC = largestTile(cout4, Math.min(MOST_TILE_C, fits));
  const slice = Math.min(cout4, Math.floor(fits / tileC) * tileC);
  return n * y.shape[1] * ceilDiv(y.shape[2], rows) * ceilDiv(cout4, slice) <= MOST_DISPATCHES ? slice : 0;
}

/** `packed` holds slices of UNIFORM_WEIGHTS vec4, `slice` vec4 of output channels each; `most` rows fit a window. */
function convolve(
  rec: Recording,
  { x, y, bias, ...g }: Convolution,
  { packed, slice, winograd }: { packed: Tensor; slice: number; winograd: boolean },
  most: number,
): void {
  const [kd] = g.kernel;
  const [n, depth, height, width, cin] = x.shape;
  const [, outDepth, outHeight, outWidth] = y.shape;
  const alignment = uniformAlignment(rec.device);
  const cin4 = x.pitch / 4;
  const cout4 = y.pitch / 4;
  const tileC = largestTile(cout4, Math.min(MOST_TILE_C, slice));
  const tileX = tileWidth(outWidth, 16);
  const tiles = ceilDiv(outWidth, tileX);
  const band = Math.min(outHeight, most);
  const plane = height * width * cin4;
  const variant = { kernel: g.kernel, tileX, tileC, winograd, ...inputVec4s(cin), bias: !!bias };
  const window = windowSize(x, alignment);
  const kernel = conv3dWindowsKernel({ ...variant, window });
  for (let s = 0; s * slice < cout4; s++) {
    const offset = packed.offset + s * UNIFORM_WEIGHTS * 16;
    const weights: Tensor = { ...packed, shape: [UNIFORM_WEIGHTS, 4], offset };
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
          const { view, base } = windowOf(x, window, origin, from, alignment);
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
