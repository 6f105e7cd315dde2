import { ceilDiv, product } from '../shape.ts';
import type { Choice, Way } from '../ways.ts';
import { type DirectTile, direct } from './conv3d_direct.ts';
import { rowSums } from './conv3d_grad_weight.ts';
import { GRAD_WEIGHT_MATRIX_WAYS } from './conv3d_grad_weight_matrix.ts';
import { gradWeightPlanes } from './conv3d_grad_weight_planes.ts';
import { gradWeightWindows } from './conv3d_grad_weight_windows.ts';
import { MATRIX_WAYS } from './conv3d_matrix.ts';
import { type TiledTile, tiled } from './conv3d_tiled.ts';
import { windows } from './conv3d_windows.ts';
import { type Convolution, convolutionKey, inputChannels, type WeightGradient } from './convolution.ts';
import { leastWasteFirst } from './matrix_ways.ts';

/** Every way to convolve, which is also every way to an input gradient, and which of them is usual where. */

/** Tiles of the direct kernel, most reuse of what is loaded first; 16 x 4 would not fit any register file. */
const DIRECT = [4, 2, 1].flatMap((c) => [16, 8, 4, 2, 1].map((x) => ({ x, c }))).filter(({ x, c }) => x * c <= 32);

const storage = DIRECT.map((tile) => direct(tile));
/**
 * For software adapters: 16 voxels x 2 vec4 load fewer weights than 8 x 4, and convolve 16 channels in 0.7 to 0.9 of the time on
 * SwiftShader.
 */
const uniform = [2, 4, 1].flatMap((c) =>
  DIRECT.filter((tile) => tile.c === c).map((tile) => direct({ ...tile, uniform: true })),
);
const inWindows = [windows(), windows({ winograd: true })];
const WINOGRAD = DIRECT.filter(({ x, c }) => x % 4 === 0 && x * c <= 16);
const uniformWinograd = WINOGRAD.map((tile) => direct({ ...tile, uniform: true, winograd: true }));
const SPLIT: DirectTile[] = [2, 3, 4, 9].flatMap((split) =>
  [4, 2, 1].flatMap((c) => [4, 1].map((x) => ({ x, c, split }))),
);
const split = SPLIT.map((tile) => direct(tile));
/** At most 4 voxels an invocation: a GPU wants many invocations more than it wants reuse. */
const narrow = [...DIRECT, ...SPLIT]
  .map((tile, i) => ({ tile, way: [...storage, ...split][i] }))
  .filter(({ tile }) => tile.x <= 4);
const boxes: TiledTile[] = (['workgroup', 'storage'] as const).flatMap((weights) => [
  { x: 4, c: 4, lanes: [4, 8, 4], weights },
  { x: 4, c: 2, lanes: [4, 8, 4], weights },
  { x: 4, c: 4, lanes: [2, 8, 8], weights },
  { x: 8, c: 2, lanes: [4, 8, 2], weights },
]);
/**
 * F(4, 3) for NVIDIA's GPUs. 192 sums are the fewest instructions and reads of workgroup memory, where an invocation may have 255
 * registers; 96, in half as much work a workgroup, keep more of a GPU busy with fewer outputs.
 */
const WIDE: TiledTile = { x: 8, c: 4, lanes: [4, 8, 2], weights: 'workgroup' };
const HALF: TiledTile = { x: 8, c: 2, lanes: [4, 4, 4], weights: 'workgroup' };
const [wideWinograd, halfWinograd] = [WIDE, HALF].map((box) => tiled({ ...box, winograd: true }));
const inBoxes = boxes.map((box) => tiled(box));
/** Not in the flat box, whose halo is the largest: there are half as many products for which to read it. */
const inBoxesWinograd = boxes.filter(({ lanes }) => lanes[0] === 4).map((box) => tiled({ ...box, winograd: true }));

/** Outputs below which boxes do not fill a GPU, and the widest do not. */
const FEW_OUTPUTS = 2 ** 20;
const FEW_WIDE_OUTPUTS = 2 ** 22;
/** Invocations that do: two subgroups of 32 for each of the 528 schedulers of a large one, nearly. */
const FILLING = 30000;

/** The direct ways for GPUs: the most reuse of what is loaded among those that fill one, then those that come closest to that. */
function fillingFirst({ y: { shape, pitch } }: Convolution): readonly Way<Convolution>[] {
  const invocations = ({ x, c, split = 1 }: DirectTile) =>
    product(shape.slice(0, 3)) * ceilDiv(shape[3], x) * ceilDiv(pitch / 4, c) * split;
  const rank = ({ tile }: { tile: DirectTile }) => {
    const count = invocations(tile);
    return count >= FILLING ? FILLING + tile.x * tile.c : count;
  };
  return [...narrow].sort((a, b) => rank(b) - rank(a)).map(({ way }) => way);
}

export const CONV3D: Choice<Convolution> = {
  op: 'conv3d',
  ways: [
    ...inWindows,
    ...uniformWinograd,
    ...uniform,
    ...storage,
    ...split,
    ...[wideWinograd, tiled(WIDE), halfWinograd, tiled(HALF)],
    ...inBoxesWinograd,
    ...inBoxes,
    ...MATRIX_WAYS,
  ],
  key: (problem) => convolutionKey(problem, problem.x, problem.y, inputChannels(problem)),
  usual: (device, problem) => {
    const matrices = leastWasteFirst(device, problem, MATRIX_WAYS);
    if (device.software) return [...matrices, ...inWindows, ...uniform, ...storage];
    const outputs = product(problem.y.shape);
    if (outputs < FEW_OUTPUTS) return [...matrices, ...fillingFirst(problem)];
    const wide = outputs < FEW_WIDE_OUTPUTS ? [] : [wideWinograd];
    const nvidia = device.vendor === 'nvidia' ? [...wide, halfWinograd] : [];
    return [...matrices, ...nvidia, ...inBoxes, ...fillingFirst(problem)];
  },
};

const rows = [2, 1].flatMap((i) => [2, 1].map((c) => rowSums({ i, c })));
/** 96 sums an invocation fit a GPU's registers, 192 do not. */
const narrowRows = rows.slice(2);

/** Planes whose pieces 7 or 14 invocations share evenly: as many as have one role where taps are 3 x 3 x 3. */
const planes = [
  { rows: 7, pieces: 7, c: 2, across: 2 },
  { rows: 8, pieces: 7, c: 2, across: 1 },
  { rows: 8, pieces: 7, c: 4, across: 1 },
  ...[8, 4].flatMap((pieces) => [
    { rows: 7, pieces, c: 2, across: 2 },
    { rows: 7, pieces, c: 2, across: 1 },
    { rows: 7, pieces, c: 4, across: 1 },
  ]),
].map((plane) => gradWeightPlanes(plane));

/** The ways by planes that fill a GPU, the cheapest first. */
const fillingPlanes = (problem: WeightGradient): readonly Way<WeightGradient>[] =>
  planes
    .filter((way) => way.invocations(problem) >= FILLING)
    .map((way) => ({ way, cost: way.cost(problem) }))
    .sort((a, b) => a.cost - b.cost)
    .map(({ way }) => way);

export const CONV3D_GRAD_WEIGHT: Choice<WeightGradient> = {
  op: 'conv3d_grad_weight',
  ways: [gradWeightWindows, ...rows, ...planes, ...GRAD_WEIGHT_MATRIX_WAYS],
  key: (problem) => convolutionKey(problem, problem.x, problem.dy),
  usual: (device, problem) => [
    ...leastWasteFirst(device, problem, GRAD_WEIGHT_MATRIX_WAYS),
    ...(device.software ? [gradWeightWindows, ...rows] : [...fillingPlanes(problem), ...narrowRows]),
  ],
};
