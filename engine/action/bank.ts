import { ringWriteKernel } from '../../shaders/ring_write.wgsl.ts';
import type { Device } from '../device.ts';
import { DataError, ShapeError } from '../errors.ts';
import { parameterStream } from '../nn/init.ts';
import type { ParameterValues } from '../nn/parameters.ts';
import { sumRowsInto } from '../ops/reduce.ts';
import type { Stream } from '../random.ts';
import type { Recording } from '../recording.ts';
import { formatShape, sameShape } from '../shape.ts';
import type { ScalarSlots } from '../step_scalars.ts';
import { type Tensor, vec4s } from '../tensor.ts';
import type { DistillationOptions } from './options.ts';

export type BankName = 'global_bank' | 'local_bank';

/** The step scalars of a bank: where the next key goes, and how many rows hold one. */
export type BankScalar = `${BankName}_cursor` | `${BankName}_filled`;

/**
 * The K latest keys of the teacher, first in, first out (method.md 2.3, 3): a ring buffer on the device. Keys are raw, so
 * that the bank's mean can be taken off before normalising. Rows that hold no key yet are zero.
 */
export interface MemoryBank {
  readonly name: BankName;
  /** [K, N, D]: N locations of D values each; N is 1 in the global bank. */
  readonly rows: Tensor;
  /** The content for a checkpoint; cursor and filled rows follow from the step. */
  save(): Promise<ParameterValues>;
  /** Errors: DataError when the content is of another size. */
  load(values: ParameterValues): void;
  destroy(): void;
}

/** A bank of K keys [locations, length], empty or of unit-norm Gaussian rows that depend on seed and name only. */
export function createMemoryBank(
  device: Device,
  name: BankName,
  { K, bankStart }: Pick<DistillationOptions, 'K' | 'bankStart'>,
  [locations, length]: readonly [number, number],
  seed: number,
): MemoryBank {
  const shape = [K, locations, length];
  const rows = device.tensor(shape, name);
  if (bankStart === 'gaussian') device.write(rows, gaussianRows(K * locations, length, parameterStream(seed, name)));
  return {
    name,
    rows,
    save: async () => new Map([['keys', { shape, data: (await device.read(rows)) as Float32Array }]]),
    load(values) {
      const found = values.get('keys');
      if (!found || !sameShape(found.shape, shape)) {
        throw new DataError(
          `the ${name.replace('_', ' ')} saved is ${found ? formatShape(found.shape) : 'missing'}, this run's is ${formatShape(shape)} (K, locations, length); use the options of the run it is from`,
        );
      }
      device.write(rows, found.data);
    },
    destroy: () => device.destroyTensor(rows),
  };
}

/** What the device reads of a bank in a step before which `pushed` keys went in. */
export function bankScalars(
  name: BankName,
  { K, bankStart }: Pick<DistillationOptions, 'K' | 'bankStart'>,
  pushed: number,
): Partial<Record<BankScalar, number>> {
  const filled = bankStart === 'gaussian' ? K : Math.min(pushed, K);
  return { [`${name}_cursor`]: pushed % K, [`${name}_filled`]: filled };
}

/** Sum of a bank's keys, [N, D]; over `filled` it is their mean. Empty rows are zero and count for nothing. */
export function bankSums(rec: Recording, { rows, name }: MemoryBank): Tensor {
  const [K, locations, length] = rows.shape;
  const width = locations * rows.pitch;
  const sums = rec.tensor([locations, length], `${name}_sums`);
  return sumRowsInto(rec, { ...rows, shape: [K, width], pitch: width }, sums);
}

/**
 * Appends the write of a batch of keys [B, N, D] over the oldest rows. Record it after everything that reads the bank, so
 * that no sample is compared with its own key. Errors: ShapeError for keys of another shape or more than K.
 */
export function pushKeys(
  rec: Recording,
  { rows, name }: MemoryBank,
  keys: Tensor,
  scalars: ScalarSlots<BankScalar>,
): void {
  const [K] = rows.shape;
  if (!sameShape(keys.shape.slice(1), rows.shape.slice(1)) || keys.shape[0] > K) {
    throw new ShapeError(
      `pushKeys: keys '${keys.label}' ${formatShape(keys.shape)} do not fit the ${name.replace('_', ' ')} ${formatShape(rows.shape)}; they must be [B, N, D] of its N and D, B at most ${K}`,
    );
  }
  const count = vec4s(keys);
  rec.dispatch(
    ringWriteKernel(),
    { rows: keys, scalars: scalars.tensor, ring: rows },
    { count, units: count / keys.shape[0], capacity: K, slot: scalars.index(`${name}_cursor`) },
    count,
  );
}

function gaussianRows(count: number, length: number, stream: Stream): Float32Array {
  const rows = Float32Array.from({ length: count * length }, () => stream.normal());
  for (let at = 0; at < rows.length; at += length) {
    const row = rows.subarray(at, at + length);
    const norm = Math.sqrt(row.reduce((sum, v) => sum + v * v, 0));
    row.set(row.map((v) => v / norm));
  }
  return rows;
}
