import {
  type Conv3dMatrixTile,
  conv3dMatrixKernel,
  matrixBox,
  matrixTileBytes,
} from '../../shaders/conv3d_matrix.wgsl.ts';
import type { MatrixUnit } from '../matrix_unit.ts';
import { ceilDiv, product, roundUp } from '../shape.ts';
import { channels } from '../tensor.ts';
import { type Convolution, inputChannels, momentsFor } from './convolution.ts';
import { type MatrixWay, worthyUnit } from './matrix_ways.ts';
import { packedMatrices } from './packed_matrices.ts';
import { readThrough } from './read_through.ts';

/** What of a tile does not follow from the problem and the adapter. */
export type MatrixTile = Pick<Conv3dMatrixTile, 'run' | 'rows' | 'groups' | 'pad'>;

function wasteOf(unit: MatrixUnit, problem: Convolution, tile: MatrixTile): number {
  const { out } = matrixBox({ ...shapeOf(problem), ...tile, unit });
  const wanted = problem.y.shape.slice(1, 4);
  const voxels = wanted.map((extent, axis) => roundUp(extent, out[axis]) / extent);
  const [cin, cout] = [inputChannels(problem), channels(problem.y)];
  return (product(voxels) * (roundUp(cin, unit.k) / cin) * roundUp(cout, unit.n * tile.groups[2])) / cout;
}

const shapeOf = (problem: Convolution) => ({
  ...{ kernel: problem.kernel, bias: problem.bias !== undefined, joined: problem.also !== undefined, normed: false },
  moments: problem.moments ?? false,
});

/** shaders/conv3d_matrix.wgsl.ts: products of float16 on matrix units, stride 1. */
export function matrices(tile: MatrixTile): MatrixWay<Convolution> {
  const { run, rows, groups, pad } = tile;
  const variant = (unit: MatrixUnit, problem: Convolution) => ({ ...shapeOf(problem), ...tile, unit });
  const waste = (unit: MatrixUnit, problem: Convolution) => wasteOf(unit, problem, tile);
  return {
    name: `matrix ${'zyx'[run]} ${rows.join('x')} of ${groups.join('x')}${pad > 0 ? ` pad ${pad}` : ''}`,
    waste,
    fuses: true,
    serves: (device, problem) => {
      const unit = worthyUnit(device, problem, waste);
      if (!unit) return false;
      const { limits } = device;
      const size = product(groups) * unit.subgroup;
      return (
        size <= limits.maxComputeInvocationsPerWorkgroup &&
        size % (unit.k / 4) === 0 &&
        unit.subgroup % (unit.n / 4) === 0 &&
        matrixTileBytes(variant(unit, problem)) <= limits.maxComputeWorkgroupStorageSize
      );
    },
    record: (rec, problem) => {
      const unit = rec.device.matrixUnit as MatrixUnit;
      const { y, bias, padding } = problem;
      const { source, normed, norm, slope } = readThrough(rec, problem.also ?? problem.x);
      const [x, also] = problem.also ? [problem.x, source] : [source];
      const [samples, depth, height, width] = x.shape;
      const [, outDepth, outHeight, outWidth] = y.shape;
      const { out } = matrixBox(variant(unit, problem));
      const [tilesZ, tilesY, tilesX] = [outDepth, outHeight, outWidth].map((extent, a) => ceilDiv(extent, out[a]));
      const wide = ceilDiv(channels(y), unit.n * groups[2]);
      const blocks = wide * groups[2];
      const w = packedMatrices(rec, problem, unit, blocks);
      const boxes = tilesZ * tilesY * tilesX;
      const moments = momentsFor(rec, problem, boxes);
      const count = samples * wide * boxes;
      rec.dispatch(
        conv3dMatrixKernel({ ...variant(unit, problem), normed }),
        { x, w, y, ...(bias && { bias }), ...(also && { also }), ...norm, ...(moments && { moments }) },
        {
          ...{ count, tiles_x: tilesX, tiles_y: tilesY, tiles_z: tilesZ, groups: wide, blocks },
          ...{ depth, height, width, cin: inputChannels(problem), own4: x.pitch / 4 },
          ...{ out_depth: outDepth, out_height: outHeight, out_width: outWidth, cout4: y.pitch / 4 },
          ...{ pad_z: padding[0], pad_y: padding[1], pad_x: padding[2], slope },
        },
        count * product(groups) * unit.subgroup,
      );
      if (moments) rec.noteMoments(y, moments);
    },
  };
}

/** Every tile, for each axis that rows may lie along. */
const TILES: readonly Omit<MatrixTile, 'run'>[] = [
  { rows: [2, 4], groups: [2, 2, 1], pad: 0 },
  { rows: [2, 4], groups: [2, 1, 2], pad: 0 },
  { rows: [2, 4], groups: [2, 1, 1], pad: 0 },
  { rows: [2, 4], groups: [2, 1, 1], pad: 2 },
  { rows: [4, 4], groups: [1, 2, 1], pad: 0 },
  { rows: [2, 2], groups: [2, 2, 1], pad: 0 },
  { rows: [2, 2], groups: [1, 1, 4], pad: 0 },
];

export const MATRIX_WAYS = [1, 2, 0].flatMap((run) => TILES.map((rest) => matrices({ run, ...rest })));
