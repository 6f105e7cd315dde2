import {
  SUM_TREE_LANES,
  type SumParams,
  sumPartialsKernel,
  sumPartialsTreeKernel,
  sumTreeParams,
} from '../../shaders/sum_partials.wgsl.ts';
import type { Batch } from '../batch.ts';
import type { Recording } from '../recording.ts';
import { ceilDiv, powerOfTwo } from '../shape.ts';
import { channels, spanOf, storedBytes, type Tensor, vec4s } from '../tensor.ts';
import { taps, type WeightGradient } from './convolution.ts';

/** Partial sums that may wait, in bytes and of those that a recording's tensors have in all: what they add to a step's memory. */
const MOST_BYTES = 128 * 1024 * 1024;
const MOST_SHARE = 1 / 16;
/** Sums that a shader of a sensible size takes. */
const MOST_SUMS = 15;

/** Chunks that a lane adds up, until a vec4 has so many lanes that each has to take more. */
const LANE_CHUNKS = 12;
const MOST_LANES = 128;

/**
 * How many of `items` rows, boxes or planes are added up before a partial sum of `bytes` is written: as many chunks as are wanted
 * and as `most` bytes hold, but one at least.
 */
export function chunksOf(items: number, wanted: number, bytes: number, most: number): { each: number; chunks: number } {
  const affordable = Math.max(1, Math.floor(most / bytes));
  const each = ceilDiv(items, Math.min(items, wanted, affordable));
  return { each, chunks: ceilDiv(items, each) };
}

/** y = the sum of the `chunks` equal parts that `partial` holds one after the other, added in their order. */
export function sumChunks(rec: Recording, partial: Tensor, y: Tensor, chunks: number): void {
  const count = vec4s(y);
  const row = { rows: 1, rows_padded: 1, tap_step: y.pitch, row_step: 0, column_step: 1 };
  const params = { count, chunks, stride: count, ...row, ...columnsOf(y.pitch), quads_padded: y.pitch / 4, to: 0 };
  rec.dispatch(sumPartialsKernel({ scattered: false }), { partial, y }, params, count);
}

const columnsOf = (columns: number) => ({ columns, quads: ceilDiv(columns, 4) });

/**
 * dw, in the channels of x, = the sum over the chunks of partial [chunks, taps x Cin padded x Cout padded in vec4, 4]. On GPUs the
 * sums of several gradients are one dispatch: this one waits for others until something uses dw.
 */
export function sumPartials(
  rec: Recording,
  partial: Tensor,
  problem: WeightGradient,
  padded = { cin: problem.x.pitch, cout: problem.dy.pitch },
): void {
  const { x, dy, dw, firstIn = 0, swapped = false } = problem;
  const [chunks, stride] = partial.shape;
  const place = swapped
    ? { rows: dw.pitch, ...columnsOf(channels(dy)), to: 0, row_step: 1, column_step: dw.pitch }
    : { rows: channels(x), ...columnsOf(dw.pitch), to: firstIn * dw.pitch, row_step: dw.pitch, column_step: 1 };
  const params: SumParams = {
    ...{ count: taps(problem) * place.rows * place.quads, chunks, stride, ...place },
    ...{ tap_step: dw.shape[3] * dw.pitch, rows_padded: padded.cin, quads_padded: padded.cout / 4 },
  };
  if (rec.device.software || dw.dtype !== 'f32') {
    rec.dispatch(sumPartialsKernel({ scattered: swapped }), { partial, y: dw }, params, params.count);
    return;
  }
  const batch = rec.batches.under('sums', dw.storage, () => sums(rec));
  if (batch.add({ partial, dw, params })) rec.batches.write(batch);
}

interface Sum {
  readonly partial: Tensor;
  readonly dw: Tensor;
  readonly params: SumParams;
}

interface SumBatch extends Batch {
  /** Takes one more sum; true when it can take no other. */
  add(sum: Sum): boolean;
}

/** Sums into one storage, as sum_partials_tree computes them. */
function sums(rec: Recording): SumBatch {
  const all: Sum[] = [];
  const outputs: Tensor[] = [];
  const most = Math.min(MOST_SUMS, rec.device.limits.maxStorageBuffersPerShaderStage - 1);
  let bytes = 0;
  return {
    outputs,
    add(sum) {
      all.push(sum);
      outputs.push(sum.dw);
      bytes += storedBytes(sum.partial);
      return all.length === most || bytes >= Math.min(MOST_BYTES, MOST_SHARE * rec.bytes);
    },
    write() {
      const y = spanOf(outputs);
      let end = 0;
      const params = all.map(({ dw, params: { count, chunks, to, ...rest } }) => {
        const lanes = powerOfTwo(Math.min(MOST_LANES, chunks / LANE_CHUNKS));
        const width = Math.min(SUM_TREE_LANES / lanes, powerOfTwo(count));
        end += ceilDiv(count, width);
        return { ...rest, count, chunks, to: to + (dw.offset - y.offset) / 4, end, width };
      });
      const partials = Object.fromEntries(all.map(({ partial }, j) => [`partial_${j}`, partial]));
      rec.dispatch(sumPartialsTreeKernel(all.length), { y, ...partials }, sumTreeParams(params), end * SUM_TREE_LANES);
    },
  };
}
