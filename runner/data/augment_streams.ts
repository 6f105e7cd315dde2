import { Stream } from '../../engine/random.ts';

/**
 * Who draws random numbers of a training run from which stream. On the host Stream(seed, stream, substream), on the device
 * pcg4d(seed, step, stream, index); the device's numbers begin at 2^31, which no step reaches, so that the two never meet.
 *
 *   host     patches.ts             Stream(seed, id * 4096 + sample, step), sample 4095 for the choice of cases
 *            augment_intensity.ts   the same
 *            splits.ts              Stream(seed, 0x7661)
 *            engine/nn/init.ts      Stream(seed, hash of the parameter's name)
 *   device   intensity (noise)      the first of a block of NOISE_STREAMS
 *            dropout                the second of the student's, further passes of the step the next ones
 */
export const HOST_STREAMS = {
  labelledPatches: 16,
  unlabelledPatches: 17,
  labelledIntensity: 18,
  teacherIntensity: 19,
  studentIntensity: 20,
  teacherLabelledIntensity: 21,
} as const;

/** Numbers of a block below. */
export const STREAM_BLOCK = 16;

/** Each begins a block for the random ops of one view and what is drawn with it; test/train/streams.test.ts keeps them apart. */
export const NOISE_STREAMS = {
  labelled: 0x80000010,
  teacher: 0x80000020,
  student: 0x80000030,
  teacherLabelled: 0x80000040,
  /** Of what a method itself draws: mixing, queries, negatives. */
  method: 0x80000050,
} as const;

const SAMPLES = 4096;

/** Draws for one sample of a batch at one step: a function of the four numbers alone, so that resuming needs no state. */
export function sampleStream(seed: number, id: number, step: number, sample: number): Stream {
  return new Stream(seed, id * SAMPLES + sample, step);
}

/** Draws that concern the whole batch of a step. */
export function batchStream(seed: number, id: number, step: number): Stream {
  return sampleStream(seed, id, step, SAMPLES - 1);
}
