import { conv3dGradWeightWindowsKernel } from '../../shaders/conv3d_windows.wgsl.ts';
import type { Device } from '../device.ts';
import { ceilDiv } from '../shape.ts';
import type { Way } from '../ways.ts';
import { largestTile, tileWidth } from './conv3d_tiles.ts';
import { MOST_DISPATCHES } from './conv3d_windows.ts';
import { ownInputs, unitStride, type WeightGradient } from './convolution.ts';
import { sumPartials } from './sum_partials.ts';
import { rowsInWindow, uniformAlignment, windowable, windowOf, windowSize } from './uniform_windows.ts';

/** Invocations aimed at in one plane's dispatch: a few for each core. */
const PLANE_INVOCATIONS = 32;

/** Reads x and dy through uniform windows (shaders/conv3d_windows.wgsl.ts): stride 1, one dispatch a plane and z tap. */
export const gradWeightWindows: Way<WeightGradient> = {
  name: 'windows',
  serves: (device, problem) => {
    const { x, dy, kernel } = problem;
    const band = bandOf(device, problem);
    const dispatches = x.shape[0] * dy.shape[1] * ceilDiv(dy.shape[2], band) * kernel[0];
    return unitStride(problem) && windowable(device, x, dy) && band > 0 && dispatches <= MOST_DISPATCHES;
  },
  record(rec, problem) {
    const { x, dy, dw, ...g } = problem;
    const [kd, kh, kw] = g.kernel;
    const [n, depth, height, width] = x.shape;
    const [, outDepth, outHeight, outWidth] = dy.shape;
    const alignment = uniformAlignment(rec.device);
    const band = bandOf(rec.device, problem);
    const bands = ceilDiv(outHeight, band);
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
    const [windowX, windowDy] = [x, dy].map((t) => windowSize(t, alignment));
    const kernel = conv3dGradWeightWindowsKernel({
      ...{ kernel: g.kernel, unroll: tileWidth(outWidth, 4), tileI, tileC, lanes: ownInputs(problem) },
      ...{ windowX, windowDy },
    });
    for (let out = 0; out < n * outDepth; out++) {
      const originDy = out * outHeight * outWidth * cout4;
      for (let b = 0; b < bands; b++) {
        const first = b * band;
        const last = Math.min(outHeight, first + band);
        const { view: dyView, base: baseDy } = windowOf(
          dy,
          windowDy,
          originDy,
          originDy + first * outWidth * cout4,
          alignment,
        );
        for (let kz = 0; kz < kd; kz++) {
          const z = (out % outDepth) + kz - g.padding[0];
          if (z < 0 || z >= depth) continue;
          const origin = (Math.floor(out / outDepth) * depth + z) * height * width * cin4;
          const from = origin + Math.max(0, first - g.padding[1]) * width * cin4;
          const { view, base } = windowOf(x, windowX, origin, from, alignment);
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
    sumPartials(rec, partial, problem);
  },
};

/** Output rows whose x and dy fit a window each. */
function bandOf(device: Device, { x, dy, kernel }: WeightGradient): number {
  const alignment = uniformAlignment(device);
  return Math.min(dy.shape[2], rowsInWindow(x, kernel[1] - 1, alignment), rowsInWindow(dy, 0, alignment));
}
