import {
  conv3dGradWeightTiledKernel,
  GRAD_WEIGHT_LANES,
  GRAD_WEIGHT_PIECE,
  type GradWeightTiledVariant,
  gradWeightDivides,
  gradWeightSums,
  gradWeightTiledBytes,
} from '../../shaders/conv3d_grad_weight_tiled.wgsl.ts';
import { ceilDiv, roundUp } from '../shape.ts';
import { channels } from '../tensor.ts';
import type { Way } from '../ways.ts';
import { taps, unitStride, type WeightGradient } from './convolution.ts';
import { readThrough } from './read_through.ts';
import { sumPartials } from './sum_partials.ts';

export interface GradWeightPlane {
  /** What of a plane is taken at a time: rows, and pieces of four voxels along x. */
  readonly rows: number;
  readonly pieces: number;
  /** vec4 of output channels that an invocation owns, and invocations side by side along them. */
  readonly c: number;
  readonly outputs: number;
}

/** A weight gradient by planes in workgroup memory. */
export interface PlaneWay extends Way<WeightGradient> {
  /** Instructions for each product that the problem has: planes reach over its edge, and factors are read. */
  cost(problem: WeightGradient): number;
  /** Invocations that the problem keeps busy. */
  invocations(problem: WeightGradient): number;
}

/** Workgroups aimed at: several for each place that a large GPU has for one, so that the last ones are a small part. */
const WORKGROUPS = 2048;
/** Fewer planes would be spent on reading those around them. */
const LEAST_PLANES = 4;
const PARTIAL_BYTES = 16 * 1024 * 1024;
/** Waste above which rows of the volume are faster. */
const MOST_WASTE = 1.3;
/** Sums in vec4 that fit a GPU's registers beside what is loaded. */
const MOST_SUMS = 24;

/** shaders/conv3d_grad_weight_tiled.wgsl.ts: columns of planes in workgroup memory, stride 1. For GPUs. */
export function gradWeightPlanes({ rows, pieces, c, outputs }: GradWeightPlane): PlaneWay {
  const variant = ({ kernel, x }: WeightGradient, normed = false): GradWeightTiledVariant => ({
    ...{ kernel, rows, pieces, tileC: c, outputs, lanes: Math.min(4, channels(x)), normed },
  });
  const waste = ({ dy: { shape } }: WeightGradient) =>
    (roundUp(shape[2], rows) * roundUp(shape[3], pieces * GRAD_WEIGHT_PIECE)) / (shape[2] * shape[3]);
  const split = (problem: WeightGradient) => {
    const { x, dy } = problem;
    const [n, depth, height, width] = dy.shape;
    const [tilesX, tilesY] = [ceilDiv(width, pieces * GRAD_WEIGHT_PIECE), ceilDiv(height, rows)];
    const [groupsIn, groupsOut] = [x.pitch / 4, dy.pitch / 4 / (c * outputs)];
    const columns = n * tilesY * tilesX;
    const stride = taps(problem) * x.pitch * (dy.pitch / 4);
    const affordable = Math.max(1, Math.floor(PARTIAL_BYTES / (stride * 16 * columns)));
    const wanted = Math.min(ceilDiv(WORKGROUPS, columns * groupsIn * groupsOut), affordable);
    const planes = Math.min(depth, Math.max(LEAST_PLANES, ceilDiv(depth, wanted)));
    const tilesZ = ceilDiv(depth, planes);
    const chunks = columns * tilesZ;
    return {
      tilesX,
      tilesY,
      tilesZ,
      groupsIn,
      groupsOut,
      stride,
      planes,
      chunks,
      count: chunks * groupsIn * groupsOut,
    };
  };
  return {
    name: `planes ${rows}x${pieces * GRAD_WEIGHT_PIECE} c${c}${outputs > 1 ? `x${outputs}` : ''}`,
    cost: (problem) => {
      const kw = problem.kernel[2];
      const products = GRAD_WEIGHT_PIECE * 4 * kw * c * variant(problem).lanes;
      return waste(problem) * (1 + (GRAD_WEIGHT_PIECE + kw - 1 + GRAD_WEIGHT_PIECE * c) / products);
    },
    invocations: (problem) => split(problem).count * GRAD_WEIGHT_LANES,
    serves: ({ limits }, problem) =>
      unitStride(problem) &&
      problem.kernel.some((k) => k > 1) &&
      (problem.dy.pitch / 4) % (c * outputs) === 0 &&
      gradWeightDivides(variant(problem)) &&
      gradWeightSums(variant(problem)) <= MOST_SUMS &&
      waste(problem) <= MOST_WASTE &&
      GRAD_WEIGHT_LANES <= limits.maxComputeInvocationsPerWorkgroup &&
      gradWeightTiledBytes(variant(problem)) <= limits.maxComputeWorkgroupStorageSize,
    record: (rec, problem) => {
      const { dy, dw, padding } = problem;
      const { source: x, normed, norm, slope } = readThrough(rec, problem.x);
      const [, depth, height, width] = x.shape;
      const [, outDepth, outHeight, outWidth] = dy.shape;
      const { tilesX, tilesY, tilesZ, groupsIn, groupsOut, stride, planes, chunks, count } = split(problem);
      const partial = rec.tensor([chunks, stride, 4], `${dw.label}.partial`);
      rec.dispatch(
        conv3dGradWeightTiledKernel(variant(problem, normed)),
        { x, dy, partial, ...norm },
        {
          ...{ count, planes, tiles_x: tilesX, tiles_y: tilesY, tiles_z: tilesZ, groups_in: groupsIn },
          ...{ groups_out: groupsOut, depth, height, width, out_depth: outDepth, out_height: outHeight },
          ...{ out_width: outWidth, cout4: dy.pitch / 4 },
          ...{ pad_z: padding[0], pad_y: padding[1], pad_x: padding[2], slope },
        },
        count * GRAD_WEIGHT_LANES,
      );
      sumPartials(rec, partial, problem);
    },
  };
}
