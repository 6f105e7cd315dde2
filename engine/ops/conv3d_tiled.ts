import { type Conv3dTile, conv3dTiledKernel, tileBytes } from '../../shaders/conv3d_tiled.wgsl.ts';
import { inputVec4s } from '../../shaders/shared/input_vec4s.ts';
import { ceilDiv, product, roundUp, type Triple } from '../shape.ts';
import { channels, type Tensor } from '../tensor.ts';
import type { Way } from '../ways.ts';
import {
  type Convolution,
  inputChannels,
  momentsFor,
  packedTaps,
  packWeights,
  unitStride,
  weightsOf,
  winogradServes,
} from './convolution.ts';
import { readThrough } from './read_through.ts';

export interface TiledTile {
  /** Output voxels along x, and vec4 of output channels, that one invocation owns. */
  readonly x: number;
  readonly c: number;
  /** Invocations of a workgroup along z, y, x. */
  readonly lanes: Triple;
  readonly weights: Conv3dTile['weights'];
  /** F(4, 3) along x: half the products; x is a multiple of 4. */
  readonly winograd?: boolean;
}

/** Computed voxels per wanted one above which a tile does not suit a shape. */
const MOST_WASTE = 1.6;

const waste = ({ shape: [, depth, height, width] }: Tensor, [lz, ly, lx]: Triple, tileX: number): number =>
  (roundUp(depth, lz) * roundUp(height, ly) * roundUp(width, lx * tileX)) / (depth * height * width);

/** shaders/conv3d_tiled.wgsl.ts: input boxes in workgroup memory, stride 1. For GPUs. */
export function tiled({ x: tileX, c: tileC, lanes, weights, winograd = false }: TiledTile): Way<Convolution> {
  const variant = (problem: Convolution, normed = false): Conv3dTile => ({
    ...{ kernel: problem.kernel, lanes, tileX, tileC, weights, winograd, ...inputVec4s(inputChannels(problem)) },
    adjoint: weights === 'workgroup' && problem.transpose && problem.flip,
    ...{ bias: problem.bias !== undefined, joined: problem.also !== undefined, normed },
    moments: problem.moments ?? false,
  });
  return {
    name: `tiled ${lanes.join('x')} x${tileX} c${tileC}${weights === 'storage' ? '' : ' staged'}${winograd ? ' winograd' : ''}`,
    fuses: true,
    serves: ({ limits }, problem) =>
      unitStride(problem) &&
      problem.kernel.some((k) => k > 1) &&
      (!winograd || winogradServes(problem)) &&
      waste(problem.y, lanes, tileX) <= MOST_WASTE &&
      (problem.y.pitch / 4) % tileC === 0 &&
      product(lanes) <= limits.maxComputeInvocationsPerWorkgroup &&
      tileBytes(variant(problem)) <= limits.maxComputeWorkgroupStorageSize,
    record: (rec, problem) => {
      const { w, y, bias, padding } = problem;
      const { source, normed, norm, slope } = readThrough(rec, problem.also ?? problem.x);
      const [x, also] = problem.also ? [problem.x, source] : [source];
      const [n, depth, height, width] = x.shape;
      const cin = inputChannels(problem);
      const [, outDepth, outHeight, outWidth] = y.shape;
      const cout4 = y.pitch / 4;
      const v = variant(problem, normed);
      let weight = w;
      const points = winograd && weights === 'storage';
      if (!v.adjoint && (points || problem.transpose || problem.flip)) {
        const stride = packedTaps(problem, points) * cin * cout4;
        weight = rec.tensor([stride, 4], `${w.label}.packed`);
        packWeights(rec, w, weight, { ...weightsOf(problem), winograd: points, slice: cout4, stride });
      }
      const [tilesZ, tilesY, tilesX] = [
        ceilDiv(outDepth, lanes[0]),
        ceilDiv(outHeight, lanes[1]),
        ceilDiv(outWidth, lanes[2] * tileX),
      ];
      const boxes = tilesZ * tilesY * tilesX;
      const moments = momentsFor(rec, problem, boxes);
      const groups = cout4 / tileC;
      const count = n * groups * boxes;
      rec.dispatch(
        conv3dTiledKernel(v),
        { x, w: weight, y, ...(bias && { bias }), ...(also && { also }), ...norm, ...(moments && { moments }) },
        {
          ...{ count, tiles_x: tilesX, tiles_y: tilesY, tiles_z: tilesZ, groups, depth, height, width, cin },
          ...{ out_depth: outDepth, out_height: outHeight, out_width: outWidth, cout4 },
          ...{ pad_z: padding[0], pad_y: padding[1], pad_x: padding[2], own4: x.pitch / 4 },
          slope,
          ...(v.adjoint && { columns_of_w: w.shape[3], first: problem.firstIn ?? 0, columns: channels(y) }),
        },
        count * product(lanes),
      );
      if (moments) rec.noteMoments(y, moments);
    },
  };
}
