import { conv3dGradWeightKernel } from '../../shaders/conv3d_grad_weight.wgsl.ts';
import { ceilDiv } from '../shape.ts';
import type { Way } from '../ways.ts';
import { tileWidth } from './conv3d_tiles.ts';
import { ownInputs, type WeightGradient } from './convolution.ts';
import { readThrough } from './read_through.ts';
import { chunksOf, sumPartials } from './sum_partials.ts';

/** Invocations aimed at: enough to fill the adapter, few enough that their partial sums add up quickly; chosen. */
const INVOCATIONS = { software: 1024, hardware: 65536 };
const PARTIAL_BYTES = 16 * 1024 * 1024;

/** vec4 of input and of output channels that one invocation owns. */
export interface GradWeightTile {
  readonly i: number;
  readonly c: number;
}

/** shaders/conv3d_grad_weight.wgsl.ts: partial sums over chunks of rows, any kernel and stride. */
export function rowSums({ i: tileI, c: tileC }: GradWeightTile): Way<WeightGradient> {
  return {
    name: `rows i${tileI} c${tileC}`,
    serves: (_, { x, dy }) => (x.pitch / 4) % tileI === 0 && (dy.pitch / 4) % tileC === 0,
    record: (rec, problem) => {
      const { dy, dw, ...g } = problem;
      const { source: x, normed, norm, slope } = readThrough(rec, problem.x);
      const [n, depth, height, width] = x.shape;
      const [, outDepth, outHeight, outWidth] = dy.shape;
      const [kd, kh, kw] = g.kernel;
      const cin4 = x.pitch / 4;
      const cout4 = dy.pitch / 4;
      const stride = kd * kh * kw * cin4 * 4 * cout4;
      const perChunk = kd * kh * (cin4 / tileI) * (cout4 / tileC);
      const rows = n * outDepth * outHeight;
      const aim = INVOCATIONS[rec.device.software ? 'software' : 'hardware'];
      const { each: chunkRows, chunks } = chunksOf(rows, ceilDiv(aim, perChunk), stride * 16, PARTIAL_BYTES);
      const partial = rec.tensor([chunks, stride, 4], `${dw.label}.partial`);
      const count = chunks * perChunk;
      const unroll = tileWidth(outWidth, 4);
      rec.dispatch(
        conv3dGradWeightKernel({
          ...{ kernel: g.kernel, stride: g.stride, unroll, tileI, tileC, lanes: ownInputs(problem) },
          normed,
        }),
        { x, dy, partial, ...norm },
        {
          ...{
            count,
            chunk_rows: chunkRows,
            rows,
            rows_zy: kd * kh,
            depth,
            height,
            width,
            cin4,
            groups_in: cin4 / tileI,
          },
          ...{ out_depth: outDepth, out_height: outHeight, out_width: outWidth, cout4, groups_out: cout4 / tileC },
          ...{ pad_z: g.padding[0], pad_y: g.padding[1], pad_x: g.padding[2], slope },
        },
        count,
      );
      sumPartials(rec, partial, problem);
    },
  };
}
