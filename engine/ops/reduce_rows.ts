import { COLUMN_TREE_LANES, columnTreeKernel } from '../../shaders/column_tree.wgsl.ts';
import { columnSumsKernel } from '../../shaders/reduce.wgsl.ts';
import type { Recording } from '../recording.ts';
import { ceilDiv, powerOfTwo } from '../shape.ts';
import type { Tensor } from '../tensor.ts';

/** Rows one invocation adds up while more than LAST_ROWS are left. */
const CHUNK_ROWS = 64;
/** So few rows are added up in one go. */
export const LAST_ROWS = 256;

/** On GPUs one invocation a column is enough for so few rows, */
const FEW_ROWS = 16;
/** or where the columns, in vec4, fill the GPU by themselves. Then a buffer of 4 GiB has 4096 rows: two stages. */
const MANY_COLUMNS = 65536;
/** Workgroups that fill a GPU. */
const WORKGROUPS = 1024;
/** vec4 that are worth a workgroup: 16 a lane. */
const WORKGROUP_VEC4S = 16 * COLUMN_TREE_LANES;
/** Neighbouring vec4 that a workgroup reads at most: two cache lines. */
const MOST_WIDTH = 16;

/** Sums of rows, groups x count rows of `pitch` vec4; with `total` (then pitch is 1) of the four channels too. */
export interface RowReduction {
  readonly count: number;
  readonly groups: number;
  readonly pitch: number;
  readonly factor: number;
  readonly total: boolean;
}

/** y = factor * the sum of the rows of each group of x; on GPUs in at most two dispatches. */
export function reduceRows(rec: Recording, x: Tensor, y: Tensor, sums: RowReduction): Tensor {
  const { count, groups, pitch } = sums;
  const columnsSuffice = count <= FEW_ROWS || groups * pitch >= MANY_COLUMNS;
  const reduce = rec.device.software || columnsSuffice ? byColumns : byTrees;
  return reduce(rec, x, y, sums);
}

/** Stages of column_sums until one row a group is left; `factor` and the total over channels come in the last. */
function byColumns(rec: Recording, x: Tensor, y: Tensor, sums: RowReduction): Tensor {
  const { count, groups, pitch, factor, total } = sums;
  const last = count <= LAST_ROWS;
  const lanes = last ? 1 : ceilDiv(count, CHUNK_ROWS);
  const to = last ? y : rec.tensor([groups * lanes, pitch * 4], 'partial_sums');
  const invocations = groups * lanes * pitch;
  rec.dispatch(
    columnSumsKernel(last && total),
    { x, y: to },
    { count: invocations, rows: count, lanes, pitch, factor: last ? factor : 1 },
    invocations,
  );
  return last ? y : byColumns(rec, to, y, { ...sums, count: lanes });
}

/** column_tree over chunks that fill a GPU, then over the chunks' sums; at once where a workgroup can take all rows. */
function byTrees(rec: Recording, x: Tensor, y: Tensor, sums: RowReduction): Tensor {
  const { count, groups, pitch, factor, total } = sums;
  const last = count <= WORKGROUP_VEC4S;
  const widest = Math.min(MOST_WIDTH, powerOfTwo(pitch));
  const width = last ? Math.min(widest, 2 ** Math.floor(Math.log2(WORKGROUP_VEC4S / count))) : widest;
  const across = ceilDiv(pitch, width);
  const wanted = Math.min(ceilDiv(count * width, WORKGROUP_VEC4S), ceilDiv(WORKGROUPS, across * groups));
  const length = ceilDiv(count, last ? 1 : wanted);
  const chunks = ceilDiv(count, length);
  const to = last ? y : rec.tensor([groups * chunks, pitch * 4], 'partial_sums');
  rec.dispatch(
    columnTreeKernel(last && total),
    { x, y: to },
    { rows: count, length, chunks, pitch, width, factor: last ? factor : 1 },
    [chunks, across, groups],
  );
  return last ? y : byTrees(rec, to, y, { ...sums, count: chunks });
}
