/** One way on one problem: compiled, compared with results that are known, and ready to be timed. */
import type { Device } from '../../engine/device.ts';
import { Program } from '../../engine/program.ts';
import { Recording } from '../../engine/recording.ts';
import { storedBytes, storedElements, type Tensor } from '../../engine/tensor.ts';
import type { Way } from '../../engine/ways.ts';
import type { Clock } from '../bench/clock.ts';
import { toleranceOf } from '../bench/samples.ts';

export interface Trial {
  readonly way: Way<unknown>;
  /** What the way computes, sampled. */
  result(): Promise<Float32Array>;
  /** Milliseconds of one run among so many in a submit, and until the host knew of it. */
  time(clock: Clock, runs: number): Promise<{ ms: number; wallMs: number }>;
  /** Commands that the way takes. */
  readonly commands: number;
  destroy(): void;
}

/** Errors: FitError where the way has no room, GpuValidationError where the driver refuses a kernel. */
export async function createTrial(device: Device, way: Way<unknown>, problem: unknown, output: Tensor): Promise<Trial> {
  const rec = new Recording(device, `tune ${way.name}`);
  way.record(rec, problem);
  const program = await Program.create(rec);
  return {
    ...{ way, commands: rec.commands.length },
    result() {
      // What a way leaves out must not be what another one left there.
      clear(device, output);
      program.run();
      return sampled(device, output);
    },
    async time(clock, runs) {
      const { ms, wallMs } = await clock.measure(program, { times: runs });
      return { ms: ms / runs, wallMs: wallMs / runs };
    },
    destroy: () => program.destroy(),
  };
}

function clear(device: Device, t: Tensor): void {
  const encoder = device.gpu.createCommandEncoder();
  encoder.clearBuffer(t.storage.buffer as GPUBuffer, t.offset, storedBytes(t));
  device.gpu.queue.submit([encoder.finish()]);
}

export interface Comparison {
  readonly error: number;
  readonly tolerance: number;
}

/** Spacing of bfloat16 values, relative to them: results that hardly differ may be rounded to neighbours. */
const HALF_SPACING = 2 ** -7;

/** What rounding both factors of every product to float16 changes at most, relative to the largest of many sums. */
const HALF_FACTORS = 2 ** -9;

/** Whether two elements share a word (bfloat16). */
const isHalf = (t: Tensor): boolean => storedBytes(t) < 4 * storedElements(t);

/** Largest difference of two computations of the same sums into `t`, and what float32 and rounding let both be off by. */
export function compareResults(
  t: Tensor,
  actual: Float32Array,
  expected: Float32Array,
  { terms, rounds }: { readonly terms: number; readonly rounds: boolean },
): Comparison {
  let error = 0;
  let scale = 0;
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs(actual[i] - expected[i]);
    if (!(difference <= error)) error = Number.isNaN(difference) ? Infinity : difference;
    scale = Math.max(scale, Math.abs(expected[i]));
  }
  const rounding = (isHalf(t) ? HALF_SPACING : 0) + (rounds ? HALF_FACTORS : 0);
  return { error, tolerance: (2 * toleranceOf(terms) + rounding) * scale };
}

const BLOCKS = 64;
const BLOCK_BYTES = 64 * 1024;
const COPY_SRC_DST = 0x04 | 0x08;

/** A tensor as stored, padding included; of a large one blocks at equal distances, the first and the last among them. */
async function sampled(device: Device, t: Tensor): Promise<Float32Array> {
  const total = storedBytes(t);
  const buffer = t.storage.buffer as GPUBuffer;
  if (total <= BLOCKS * BLOCK_BYTES) return valuesOf(t, await device.readBuffer(buffer, t.offset, total));
  const copy = device.createBuffer(BLOCKS * BLOCK_BYTES, 'sampled', COPY_SRC_DST);
  try {
    const encoder = device.gpu.createCommandEncoder();
    for (let i = 0; i < BLOCKS; i++) {
      const at = Math.floor(((total - BLOCK_BYTES) * i) / (BLOCKS - 1) / 16) * 16;
      encoder.copyBufferToBuffer(buffer, t.offset + at, copy, i * BLOCK_BYTES, BLOCK_BYTES);
    }
    device.gpu.queue.submit([encoder.finish()]);
    return valuesOf(t, await device.readBuffer(copy, 0, copy.size));
  } finally {
    device.destroyBuffer(copy);
  }
}

/** Floats, a bfloat16 being the upper half of one. */
function valuesOf(t: Tensor, bytes: ArrayBuffer): Float32Array {
  if (!isHalf(t)) return new Float32Array(bytes);
  return new Float32Array(Uint32Array.from(new Uint16Array(bytes), (half) => half << 16).buffer);
}
