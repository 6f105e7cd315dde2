import {
  type PackMatrixParams,
  packMatrixParams,
  packWeightsMatrixKernel,
} from '../../shaders/pack_weights_matrix.wgsl.ts';
import type { Batch } from '../batch.ts';
import type { MatrixUnit } from '../matrix_unit.ts';
import type { Recording } from '../recording.ts';
import { ceilDiv, roundUp } from '../shape.ts';
import { channels, type Storage, storedBytes, type Tensor } from '../tensor.ts';
import { type Convolution, inputChannels, taps, weightsOf } from './convolution.ts';

/** vec4 of float16 between the starts of two packings: a workgroup has one, and 512 bytes are as aligned as a binding wants. */
const ALIGNMENT = 64;

/**
 * The weights of a convolution as matrices of the unit in float16, two values in a word, n output channels `blocks` times. Weights
 * that nothing has written in the recording so far are packed in front of it, all of them in one dispatch.
 */
export function packedMatrices(rec: Recording, problem: Convolution, unit: MatrixUnit, blocks: number): Tensor {
  const { storage } = problem.w;
  if (storage.buffer && !rec.written.has(storage)) {
    return rec.batches
      .under(storage, () => packings(rec, storage, unit, (write) => rec.inFront(write)))
      .add(problem, blocks);
  }
  const batch = packings(rec, storage, unit, (write) => write());
  const packed = batch.add(problem, blocks);
  batch.write();
  return packed;
}

interface PackingBatch extends Batch {
  add(problem: Convolution, blocks: number): Tensor;
}

/** Packings of weights out of one storage into another, which grows until they are written. */
function packings(rec: Recording, from: Storage, unit: MatrixUnit, place: (write: () => void) => void): PackingBatch {
  const weights: Tensor[] = [];
  const params: PackMatrixParams[] = [];
  const storage = { label: 'packed weights', bytes: 0 };
  const words = { dtype: 'u32', requiresGrad: false, storage } as const;
  let end = 0;
  return {
    outputs: [],
    add(problem, blocks) {
      const { w, transpose, flip } = problem;
      const [rows, columns] = [inputChannels(problem), channels(problem.y)];
      const count = (ceilDiv(rows, unit.k) * taps(problem) * blocks * unit.k * unit.n) / 4;
      const offset = end * 8;
      end += roundUp(count, ALIGNMENT);
      storage.bytes = end * 8;
      weights.push(w);
      params.push({
        ...{
          end,
          count,
          origin: w.offset / 4 + weightsOf(problem).first * w.pitch,
          taps: taps(problem),
          rows,
          columns,
          blocks,
        },
        ...{ pitch: w.pitch, cin: w.shape[3], transpose: Number(transpose), flip: Number(flip) },
      });
      rec.written.add(storage);
      return { ...words, label: `${w.label}.packed`, shape: [2 * count], pitch: 2 * count, offset };
    },
    write() {
      const first = Math.min(...weights.map(({ offset }) => offset));
      const values = Math.max(...weights.map((w) => w.offset + storedBytes(w) - first)) / 4;
      const w: Tensor = {
        ...{ label: weights.map(({ label }) => label).join(', '), shape: [values], pitch: values, dtype: 'f32' },
        ...{ storage: from, offset: first, requiresGrad: false },
      };
      const out: Tensor = { ...words, label: storage.label, shape: [2 * end], pitch: 2 * end, offset: 0 };
      const relative = params.map((packing) => ({ ...packing, origin: packing.origin - first / 4 }));
      const kernel = packWeightsMatrixKernel(unit, params.length);
      place(() => rec.dispatch(kernel, { w, out }, packMatrixParams(relative), end));
    },
  };
}
