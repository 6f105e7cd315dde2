import { BLOCK, MATMUL_WINDOW_ROWS, matmulWindowsKernel } from '../../shaders/matmul_windows.wgsl.ts';
import { packWeightsKernel } from '../../shaders/pack_weights.wgsl.ts';
import type { Recording } from '../recording.ts';
import { ceilDiv } from '../shape.ts';
import { channels, rows, type Tensor, vec4s } from '../tensor.ts';
import { largestTile } from './conv3d_tiles.ts';
import { uniformAlignment, WINDOW, windowable, windowOf } from './uniform_windows.ts';

/**
 * Matrix products that read both operands through uniform windows (shaders/matmul_windows.wgsl.ts). What does not lie in memory
 * so that a window holds a useful part of it is copied into blocks of BLOCK vec4 columns first.
 */

/** Rows with more vec4 than this are packed. */
const WIDEST = 64;
/** Pairs of windows in one dispatch: with the parameters 11 of the 12 uniform bindings that every adapter has. */
const SLICES = 5;
/** Multiply-adds below which the general kernel's few dispatches are cheaper. */
const WORTH = 2 ** 20;

/** A matrix cut into blocks of columns, [blocks, rows, pitch vec4], one after another in `storage`. */
interface Blocks {
  readonly storage: Tensor;
  readonly rows: number;
  /** vec4 in a row of a block, and of all columns. */
  readonly pitch: number;
  readonly columns: number;
}

/** Operands by the tensor they stand for: packed once for a product and its gradients, or never laid out in any other way. */
export type PackedOperands = { readonly matrix: Tensor; readonly blocks: Blocks }[];

function packedOf(packed: PackedOperands | undefined, m: Tensor): Blocks | undefined {
  const same = ({ storage, offset, pitch }: Tensor) =>
    storage === m.storage && offset === m.offset && pitch === m.pitch;
  return packed?.find(({ matrix }) => same(matrix) && rows(matrix) === rows(m))?.blocks;
}

/**
 * Memory for a matrix [rows, columns] that only products read, in blocks where they would be packed from it: registered in
 * `packed`, the matrix itself need not be written. Undefined where products read it as it is.
 */
export function blocksFor(rec: Recording, matrix: Tensor, packed: PackedOperands): Tensor | undefined {
  const columns = matrix.pitch / 4;
  if (!rec.device.uniformWindows || columns <= WIDEST) return undefined;
  const storage = rec.tensor([ceilDiv(columns, BLOCK) * rows(matrix) * BLOCK, 4], `${matrix.label}.blocks`);
  packed.push({ matrix, blocks: { storage, rows: rows(matrix), pitch: BLOCK, columns: ceilDiv(channels(matrix), 4) } });
  return storage;
}

/** The blocks of m or of its transpose. */
function blocks(rec: Recording, m: Tensor, transpose: boolean, packed?: PackedOperands): Blocks {
  const known = transpose ? undefined : packedOf(packed, m);
  if (known) return known;
  const found = makeBlocks(rec, m, transpose);
  if (!transpose) packed?.push({ matrix: m, blocks: found });
  return found;
}

function makeBlocks(rec: Recording, m: Tensor, transpose: boolean): Blocks {
  const [height, width] = transpose ? [channels(m), rows(m)] : [rows(m), channels(m)];
  const columns = ceilDiv(width, 4);
  if (!transpose && columns <= WIDEST && windowable(rec.device, m))
    return { storage: m, rows: height, pitch: columns, columns };
  const pitch = Math.min(BLOCK, columns);
  const stride = height * pitch;
  const packed = rec.tensor([ceilDiv(columns, pitch) * stride, 4], `${m.label}.blocks`);
  rec.dispatch(
    packWeightsKernel({ transpose, flip: false }),
    { w: m, out: packed },
    {
      count: vec4s(packed),
      taps: 1,
      rows: height,
      columns: width,
      slice: pitch,
      pitch: m.pitch,
      stride,
      cin: 1,
      first: 0,
    },
    vec4s(packed),
  );
  return { storage: packed, rows: height, pitch, columns };
}

export interface WindowProduct {
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  readonly bias?: Tensor;
  readonly packed?: PackedOperands;
  readonly m: number;
  readonly n: number;
  readonly k: number;
}

/** y = op(a) op(b) + bias as in matmul, where windows serve and pay; says whether it did. */
export function matmulWindows(rec: Recording, a: Tensor, b: Tensor, y: Tensor, product: WindowProduct): boolean {
  const { transposeA, transposeB, bias, packed, m, n, k } = product;
  const only = packedOf(packed, a) || packedOf(packed, b);
  const whole = a.dtype === 'f32' && b.dtype === 'f32';
  if (!rec.device.uniformWindows || !whole || (m * n * k < WORTH && !only)) return false;
  const left = blocks(rec, a, false, packed);
  const right = blocks(rec, b, transposeB, packed);
  const alignment = uniformAlignment(rec.device);
  const room = (pitch: number) => Math.floor(Math.min(WINDOW, WINDOW - alignment + 1) / pitch);
  // k in a window of b, and where k are rows or a block's columns of a there, too.
  const inB = room(right.pitch);
  const depth = Math.floor((transposeA ? Math.min(inB, room(left.pitch)) : Math.min(inB, 4 * left.pitch)) / 4) * 4;
  const band = transposeA ? 4 * left.pitch : room(left.pitch);
  const tileC = largestTile(right.pitch, 4);
  const sizes = { windowA: Math.min(WINDOW, vec4s(left.storage)), windowB: Math.min(WINDOW, vec4s(right.storage)) };
  const variant = { transposeA, bias: !!bias, tail: !transposeA && k % 4 > 0, tileC, ...sizes };
  const slices: [from: number, length: number][] = [];
  // A slice of k never crosses a block of a.
  const period = transposeA ? k : 4 * left.pitch;
  for (let block = 0; block < k; block += period) {
    const end = Math.min(k, block + period);
    for (let from = block; from < end; from += depth) slices.push([from, Math.min(depth, end - from)]);
  }
  const perDispatch = Math.min(SLICES, slices.length);
  const kernel = matmulWindowsKernel({ ...variant, slices: perDispatch });
  for (let column = 0; column < right.columns; column += right.pitch) {
    for (let row = 0; row < m; row += band) {
      const height = Math.min(band, m - row);
      for (let first = 0; first < slices.length; first += perDispatch) {
        const tensors: Record<string, Tensor> = bias ? { y, bias } : { y };
        const params: Record<string, number> = {};
        for (let s = 0; s < perDispatch; s++) {
          const [from, length] = slices[first + s] ?? [slices[first][0], 0];
          const [aRow, aColumn] = transposeA ? [from, row / 4] : [row, from / 4];
          const originA = start(left, aRow, aColumn);
          const originB = start(right, from, column);
          const windowA = windowOf(left.storage, sizes.windowA, originA, originA, alignment);
          const windowB = windowOf(right.storage, sizes.windowB, originB, originB, alignment);
          tensors[`a${s}`] = windowA.view;
          tensors[`b${s}`] = windowB.view;
          params[`steps${s}`] = transposeA ? length : ceilDiv(length, 4);
          params[`base_a${s}`] = windowA.base;
          params[`base_b${s}`] = windowB.base;
        }
        const width = Math.min(right.pitch, right.columns - column);
        const across = ceilDiv(width, tileC);
        const count = across * ceilDiv(height, MATMUL_WINDOW_ROWS);
        rec.dispatch(
          kernel,
          tensors,
          {
            ...{ count, across, rows: height, first_row: row, columns: width, first_column: column },
            ...{ y_pitch: y.pitch / 4, a_pitch: left.pitch, b_pitch: right.pitch, add: first === 0 ? 0 : 1 },
            ...params,
          },
          count,
        );
      }
    }
  }
  return true;
}

/** Where row and vec4 column of the matrix lie. */
function start({ rows: height, pitch }: Blocks, row: number, column: number): number {
  const block = Math.floor(column / pitch);
  return (block * height + row) * pitch + (column % pitch);
}
