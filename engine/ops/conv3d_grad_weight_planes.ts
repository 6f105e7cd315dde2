import {
  conv3dGradWeightPlanesKernel,
  GRAD_WEIGHT_PIECE,
  GRAD_WEIGHT_SIZE,
  type GradWeightPlanesVariant,
  gradWeightDivides,
  gradWeightPlanesBytes,
  gradWeightSums,
} from '../../shaders/conv3d_grad_weight_planes.wgsl.ts';
import { ceilDiv, roundUp } from '../shape.ts';
import type { Way } from '../ways.ts';
import { ownInputs, taps, unitStride, type WeightGradient } from './convolution.ts';
import { readThrough } from './read_through.ts';
import { chunksOf, sumPartials } from './sum_partials.ts';

export interface GradWeightPlane {
  /** What of a plane is taken at a time: rows, and pieces of four voxels along x. */
  readonly rows: number;
  readonly pieces: number;
  /** vec4 of output channels that an invocation owns, and invocations side by side along them. */
  readonly c: number;
  readonly across: number;
}

/** A weight gradient by planes in workgroup memory. */
export interface PlaneWay extends Way<WeightGradient> {
  /** Instructions of the inner loop for each product that the problem has: planes reach over its edge, and factors are read. */
  cost(problem: WeightGradient): number;
  /** Invocations that the problem keeps busy. */
  invocations(problem: WeightGradient): number;
}

/** Workgroups aimed at: several for each place that a large GPU has for one, so that the last ones are a small part. */
const WORKGROUPS = 2048;
/** Fewer planes would be spent on reading those around them. */
const LEAST_PLANES = 4;
/** Partial sums of one gradient: aimed at, and what a gradient with as many columns and channels as need more may take. */
const PARTIAL_BYTES = 16 * 1024 * 1024;
const MOST_PARTIAL_BYTES = 64 * 1024 * 1024;
/** Waste above which rows of the volume are faster. */
const MOST_WASTE = 1.3;
/** Sums in vec4 that fit a GPU's registers beside what is loaded. */
const MOST_SUMS = 24;

/**
 * shaders/conv3d_grad_weight_planes.wgsl.ts: columns of planes in workgroup memory, stride 1. For GPUs, and for kernels whose taps
 * along z and y leave equal shares: of 3 x 3 x 3 all, of 1 x 3 x 3 and 2 x 2 x 2 none.
 */
export function gradWeightPlanes({ rows, pieces, c, across }: GradWeightPlane): PlaneWay {
  const variant = (problem: WeightGradient, normed = false): GradWeightPlanesVariant => ({
    ...{ kernel: problem.kernel, rows, pieces, tileC: c, across, inputs: ownInputs(problem), normed },
  });
  const waste = ({ dy: { shape } }: WeightGradient) =>
    (roundUp(shape[2], rows) * roundUp(shape[3], pieces * GRAD_WEIGHT_PIECE)) / (shape[2] * shape[3]);
  const split = (problem: WeightGradient) => {
    const { x, dy } = problem;
    const [n, depth, height, width] = dy.shape;
    const [tilesX, tilesY] = [ceilDiv(width, pieces * GRAD_WEIGHT_PIECE), ceilDiv(height, rows)];
    const [groupsIn, groupsOut] = [x.pitch / 4, dy.pitch / 4 / (c * across)];
    const columns = n * tilesY * tilesX;
    const stride = taps(problem) * x.pitch * (dy.pitch / 4);
    const bytes = stride * 16 * columns;
    const most = Math.max(1, Math.floor(depth / LEAST_PLANES));
    const wanted = Math.min(ceilDiv(WORKGROUPS, columns * groupsIn * groupsOut), most);
    const { each: planes, chunks: tilesZ } = chunksOf(depth, wanted, bytes, PARTIAL_BYTES);
    const chunks = columns * tilesZ;
    const count = chunks * groupsIn * groupsOut;
    return { tilesX, tilesY, tilesZ, groupsIn, groupsOut, bytes, stride, planes, chunks, count };
  };
  return {
    name: `planes ${rows}x${pieces * GRAD_WEIGHT_PIECE} c${c}${across > 1 ? `x${across}` : ''}`,
    cost: (problem) => {
      const kw = problem.kernel[2];
      const products = GRAD_WEIGHT_PIECE * 4 * kw * c * variant(problem).inputs;
      return waste(problem) * (1 + (GRAD_WEIGHT_PIECE + kw - 1 + GRAD_WEIGHT_PIECE * c) / products);
    },
    invocations: (problem) => split(problem).count * GRAD_WEIGHT_SIZE,
    serves: ({ limits }, problem) =>
      unitStride(problem) &&
      problem.kernel.some((k) => k > 1) &&
      (problem.dy.pitch / 4) % (c * across) === 0 &&
      gradWeightDivides(variant(problem)) &&
      gradWeightSums(variant(problem)) <= MOST_SUMS &&
      waste(problem) <= MOST_WASTE &&
      split(problem).bytes <= MOST_PARTIAL_BYTES &&
      GRAD_WEIGHT_SIZE <= limits.maxComputeInvocationsPerWorkgroup &&
      gradWeightPlanesBytes(variant(problem)) <= limits.maxComputeWorkgroupStorageSize,
    record: (rec, problem) => {
      const { dy, dw, padding } = problem;
      const { source: x, normed, norm, slope } = readThrough(rec, problem.x);
      const [, depth, height, width] = x.shape;
      const [, outDepth, outHeight, outWidth] = dy.shape;
      const { tilesX, tilesY, tilesZ, groupsIn, groupsOut, stride, planes, chunks, count } = split(problem);
      const partial = rec.tensor([chunks, stride, 4], `${dw.label}.partial`);
      rec.dispatch(
        conv3dGradWeightPlanesKernel(variant(problem, normed)),
        { x, dy, partial, ...norm },
        {
          ...{ count, planes, tiles_x: tilesX, tiles_y: tilesY, tiles_z: tilesZ, groups_in: groupsIn },
          ...{ groups_out: groupsOut, depth, height, width, out_depth: outDepth, out_height: outHeight },
          ...{ out_width: outWidth, cout4: dy.pitch / 4 },
          ...{ pad_z: padding[0], pad_y: padding[1], pad_x: padding[2], slope },
        },
        count * GRAD_WEIGHT_SIZE,
      );
      sumPartials(rec, partial, problem);
    },
  };
}
