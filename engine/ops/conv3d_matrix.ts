import {
  type Conv3dMatrixTile,
  conv3dMatrixKernel,
  matrixBox,
  matrixTileBytes,
  packWeightsMatrixKernel,
} from '../../shaders/conv3d_matrix.wgsl.ts';
import type { MatrixUnit } from '../matrix_unit.ts';
import type { Recording } from '../recording.ts';
import { ceilDiv, product, roundUp } from '../shape.ts';
import { channels, type Tensor } from '../tensor.ts';
import type { Way } from '../ways.ts';
import { type Convolution, inputChannels, taps, unitStride, weightsOf } from './convolution.ts';
import { readThrough } from './read_through.ts';

/** What of a tile does not follow from the problem and the adapter. */
export type MatrixTile = Pick<Conv3dMatrixTile, 'run' | 'rows' | 'groups' | 'pad'>;

/** Computed products per wanted one above which other kernels are worth more than matrix units. */
export const MOST_MATRIX_WASTE = 4;

/** Products that a way computes for each that the problem wants: boxes reach over the volume's edge, matrices over the channels. */
export function matrixWaste(unit: MatrixUnit, problem: Convolution, tile: MatrixTile): number {
  const { out } = matrixBox({ ...shapeOf(problem), ...tile, unit });
  const wanted = problem.y.shape.slice(1, 4);
  const voxels = wanted.map((extent, axis) => roundUp(extent, out[axis]) / extent);
  const [cin, cout] = [inputChannels(problem), channels(problem.y)];
  return (product(voxels) * (roundUp(cin, unit.k) / cin) * roundUp(cout, unit.n * tile.groups[2])) / cout;
}

const shapeOf = (problem: Convolution) => ({
  ...{ kernel: problem.kernel, bias: problem.bias !== undefined, joined: problem.also !== undefined, normed: false },
});

/** shaders/conv3d_matrix.wgsl.ts: products of float16 on matrix units, stride 1. */
export function matrices(tile: MatrixTile): Way<Convolution> {
  const { run, rows, groups, pad } = tile;
  const variant = (unit: MatrixUnit, problem: Convolution) => ({ ...shapeOf(problem), ...tile, unit });
  return {
    name: `matrix ${'zyx'[run]} ${rows.join('x')} of ${groups.join('x')}${pad > 0 ? ` pad ${pad}` : ''}`,
    serves: ({ matrixUnit: unit, limits }, problem) =>
      unit !== undefined &&
      problem.products === 'f16' &&
      unitStride(problem) &&
      problem.kernel.some((k) => k > 1) &&
      matrixWaste(unit, problem, tile) <= MOST_MATRIX_WASTE &&
      product(groups) * unit.subgroup <= limits.maxComputeInvocationsPerWorkgroup &&
      (product(groups) * unit.subgroup) % (unit.k / 4) === 0 &&
      matrixTileBytes(variant(unit, problem)) <= limits.maxComputeWorkgroupStorageSize,
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
      const w = packed(rec, problem, unit, blocks);
      const count = samples * wide * tilesZ * tilesY * tilesX;
      rec.dispatch(
        conv3dMatrixKernel({ ...variant(unit, problem), normed }),
        { x, w, y, ...(bias && { bias }), ...(also && { also }), ...norm },
        {
          ...{ count, tiles_x: tilesX, tiles_y: tilesY, tiles_z: tilesZ, groups: wide, blocks },
          ...{ depth, height, width, cin: inputChannels(problem), own4: x.pitch / 4 },
          ...{ out_depth: outDepth, out_height: outHeight, out_width: outWidth, cout4: y.pitch / 4 },
          ...{ pad_z: padding[0], pad_y: padding[1], pad_x: padding[2], slope },
        },
        count * product(groups) * unit.subgroup,
      );
    },
  };
}

/** The weights as matrices of float16, two values in a word. */
function packed(rec: Recording, problem: Convolution, unit: MatrixUnit, blocks: number): Tensor {
  const { w, transpose, flip } = problem;
  const { first } = weightsOf(problem);
  const [rows, columns] = [inputChannels(problem), channels(problem.y)];
  const values = ceilDiv(rows, unit.k) * taps(problem) * blocks * unit.k * unit.n;
  const out = rec.tensor([values / 2], `${w.label}.packed`, { dtype: 'u32', dense: true });
  const count = values / 4;
  const params = { count, taps: taps(problem), rows, columns, blocks, pitch: w.pitch, cin: w.shape[3], first };
  rec.dispatch(packWeightsMatrixKernel({ unit, transpose, flip }), { w, out }, params, count);
  return out;
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

const WAYS = [1, 2, 0].flatMap((run) => TILES.map((rest) => ({ run, ...rest })));

export const MATRIX_WAYS: readonly Way<Convolution>[] = WAYS.map(matrices);

/** The ways in the order of what they waste on a problem. */
export function byWaste(unit: MatrixUnit, problem: Convolution): readonly Way<Convolution>[] {
  const waste = WAYS.map((tile, i) => ({ way: MATRIX_WAYS[i], waste: matrixWaste(unit, problem, tile) }));
  return waste.sort((a, b) => a.waste - b.waste).map(({ way }) => way);
}
