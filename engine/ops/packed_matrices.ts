import {
  type PackMatrixParams,
  packMatrixParams,
  packWeightsMatrixKernel,
} from '../../shaders/pack_weights_matrix.wgsl.ts';
import type { Batch } from '../batch.ts';
import type { MatrixUnit } from '../matrix_unit.ts';
import type { Recording } from '../recording.ts';
import { ceilDiv, roundUp } from '../shape.ts';
import { channels, spanOf, type Tensor } from '../tensor.ts';
import { type Convolution, inputChannels, taps, weightsOf } from './convolution.ts';

/** vec4 of float16 between the starts of two packings: a workgroup has one, and 512 bytes are as aligned as a binding wants. */
const ALIGNMENT = 64;
/** Packings of one dispatch: parameters of 11 KiB, where a uniform binding holds 64, and a search among them in every invocation. */
const MOST_PACKINGS = 256;

/**
 * The weights of a convolution as matrices of the unit in float16, two values in a word, n output channels `blocks` times. Weights
 * that nothing has written in the recording so far are packed in front of it, many of them in one dispatch, and once for all passes.
 */
export function packedMatrices(rec: Recording, problem: Convolution, unit: MatrixUnit, blocks: number): Tensor {
  const { w } = problem;
  rec.batches.settle(w);
  if (!w.storage.buffer || rec.written.has(w.storage)) {
    const alone = packings(rec, unit, { inFront: false });
    const packed = alone.add(problem, blocks) as Tensor;
    alone.write();
    return packed;
  }
  const batch = rec.batches.under('packings', w.storage, () => packings(rec, unit, { inFront: true }));
  const packed = batch.add(problem, blocks);
  if (packed) return packed;
  rec.batches.write(batch);
  return packedMatrices(rec, problem, unit, blocks);
}

interface PackingBatch extends Batch {
  /** Undefined where it has others already and no room for one more. Errors: FitError. */
  add(problem: Convolution, blocks: number): Tensor | undefined;
}

/** Packings of weights out of one storage into another, which grows until they are written. */
function packings(rec: Recording, unit: MatrixUnit, { inFront }: { inFront: boolean }): PackingBatch {
  const weights: Tensor[] = [];
  const params: PackMatrixParams[] = [];
  const known = new Map<string, Tensor>();
  const storage = { label: 'packed weights', bytes: 0 };
  const { maxStorageBufferBindingSize, maxBufferSize } = rec.device.limits;
  const limit = Math.min(maxStorageBufferBindingSize, maxBufferSize);
  let end = 0;
  return {
    outputs: [],
    add(problem, blocks) {
      const { w, transpose, flip } = problem;
      const [rows, columns, { first }] = [inputChannels(problem), channels(problem.y), weightsOf(problem)];
      const key = [w.offset, ...w.shape, first, rows, columns, transpose, flip, blocks].join(' ');
      const before = known.get(key);
      if (before) return before;
      const count = (ceilDiv(rows, unit.k) * taps(problem) * blocks * unit.k * unit.n) / 4;
      const packed = rec.tensor([2 * count], `${w.label}.packed`, { dtype: 'u32', dense: true });
      const offset = end * 8;
      const bytes = offset + roundUp(count, ALIGNMENT) * 8;
      if (end > 0 && (bytes > limit || weights.length === MOST_PACKINGS)) return undefined;
      end = bytes / 8;
      storage.bytes = bytes;
      weights.push(w);
      params.push({
        ...{ end, count, origin: w.offset / 4 + first * w.pitch },
        ...{ taps: taps(problem), rows, columns, blocks },
        ...{ pitch: w.pitch, cin: w.shape[3], transpose: Number(transpose), flip: Number(flip) },
      });
      rec.written.add(storage);
      const placed = { ...packed, storage, offset };
      known.set(key, placed);
      return placed;
    },
    write() {
      const w = spanOf(weights);
      const words = { shape: [2 * end], pitch: 2 * end, dtype: 'u32', requiresGrad: false } as const;
      const out: Tensor = { ...words, label: storage.label, storage, offset: 0 };
      const relative = params.map((packing) => ({ ...packing, origin: packing.origin - w.offset / 4 }));
      rec.dispatch(packWeightsMatrixKernel(unit, params.length), { w, out }, packMatrixParams(relative), end);
      if (inFront) rec.moveToFront();
    },
  };
}
