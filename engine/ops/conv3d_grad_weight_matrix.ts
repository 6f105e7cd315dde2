import {
  conv3dGradWeightMatrixKernel,
  type GradWeightMatrixTile,
  gradWeightBox,
  gradWeightBytes,
  gradWeightSize,
} from '../../shaders/conv3d_grad_weight_matrix.wgsl.ts';
import type { MatrixUnit } from '../matrix_unit.ts';
import { ceilDiv, product, roundUp } from '../shape.ts';
import { channels } from '../tensor.ts';
import { taps, type WeightGradient } from './convolution.ts';
import { type MatrixWay, worthyUnit } from './matrix_ways.ts';
import { readThrough } from './read_through.ts';
import { chunksOf, sumPartials } from './sum_partials.ts';

/** What of a tile does not follow from the problem and the adapter. */
export type GradMatrixTile = Pick<GradWeightMatrixTile, 'run' | 'rows' | 'inputs' | 'outputs'>;

/** Workgroups aimed at: some for each of a large GPU's cores, so that few partial sums are left to add up. */
const WORKGROUPS = 1024;
const PARTIAL_BYTES = 32 * 1024 * 1024;

const variant = (unit: MatrixUnit, { kernel }: WeightGradient, tile: GradMatrixTile) => ({
  ...{ unit, kernel, normed: false },
  ...tile,
});

function wasteOf(unit: MatrixUnit, problem: WeightGradient, tile: GradMatrixTile): number {
  const { taken } = gradWeightBox(variant(unit, problem, tile));
  const voxels = problem.dy.shape.slice(1, 4).map((extent, axis) => roundUp(extent, taken[axis]) / extent);
  const [cin, cout] = [channels(problem.x), channels(problem.dy)];
  return ((product(voxels) * roundUp(cin, unit.m * tile.inputs)) / cin) * (roundUp(cout, unit.n * tile.outputs) / cout);
}

/** shaders/conv3d_grad_weight_matrix.wgsl.ts: products of float16 on matrix units, stride 1. */
export function gradWeightMatrices(tile: GradMatrixTile): MatrixWay<WeightGradient> {
  const { run, rows, inputs, outputs } = tile;
  const waste = (unit: MatrixUnit, problem: WeightGradient) => wasteOf(unit, problem, tile);
  return {
    name: `matrix ${'zyx'[run]} ${rows.join('x')} i${inputs} o${outputs}`,
    waste,
    serves: (device, problem) => {
      const unit = worthyUnit(device, problem, waste);
      if (!unit) return false;
      const { limits } = device;
      const v = variant(unit, problem, tile);
      const size = gradWeightSize(v);
      return (
        size <= limits.maxComputeInvocationsPerWorkgroup &&
        size % ((unit.m / 4) * inputs) === 0 &&
        size % ((unit.n / 4) * outputs) === 0 &&
        gradWeightBytes(v) <= limits.maxComputeWorkgroupStorageSize
      );
    },
    record: (rec, problem) => {
      const unit = rec.device.matrixUnit as MatrixUnit;
      const { dy, dw, padding } = problem;
      const { source: x, normed, norm, slope } = readThrough(rec, problem.x);
      const v = { ...variant(unit, problem, tile), normed };
      const [samples, depth, height, width] = x.shape;
      const [, outDepth, outHeight, outWidth] = dy.shape;
      const { taken } = gradWeightBox(v);
      const [tilesZ, tilesY, tilesX] = [outDepth, outHeight, outWidth].map((extent, a) => ceilDiv(extent, taken[a]));
      const [groupsIn, groupsOut] = [ceilDiv(channels(x), unit.m * inputs), ceilDiv(channels(dy), unit.n * outputs)];
      const padded = { cin: groupsIn * unit.m * inputs, cout: groupsOut * unit.n * outputs };
      const stride = (taps(problem) * padded.cin * padded.cout) / 4;
      const boxes = samples * tilesZ * tilesY * tilesX;
      const wanted = ceilDiv(WORKGROUPS, groupsIn * groupsOut);
      const { each: chunkBoxes, chunks } = chunksOf(boxes, wanted, stride * 16, PARTIAL_BYTES);
      const partial = rec.tensor([chunks, stride, 4], `${dw.label}.partial`);
      const count = chunks * groupsIn * groupsOut;
      rec.dispatch(
        conv3dGradWeightMatrixKernel(v),
        { x, dy, partial, ...norm },
        {
          ...{ count, boxes, chunk_boxes: chunkBoxes, tiles_x: tilesX, tiles_y: tilesY, tiles_z: tilesZ },
          ...{ groups_in: groupsIn, groups_out: groupsOut, depth, height, width, cin4: x.pitch / 4 },
          ...{ out_depth: outDepth, out_height: outHeight, out_width: outWidth, cout4: dy.pitch / 4 },
          ...{ pad_z: padding[0], pad_y: padding[1], pad_x: padding[2], slope },
        },
        count * gradWeightSize(v),
      );
      sumPartials(rec, partial, problem, padded);
    },
  };
}

const TILES: readonly Omit<GradMatrixTile, 'run'>[] = [
  { rows: [2, 8], inputs: 1, outputs: 1 },
  { rows: [2, 4], inputs: 1, outputs: 1 },
  { rows: [2, 4], inputs: 1, outputs: 2 },
  { rows: [2, 4], inputs: 2, outputs: 1 },
  { rows: [1, 4], inputs: 2, outputs: 2 },
];

export const GRAD_WEIGHT_MATRIX_WAYS = [1, 2, 0].flatMap((run) =>
  TILES.map((rest) => gradWeightMatrices({ run, ...rest })),
);
