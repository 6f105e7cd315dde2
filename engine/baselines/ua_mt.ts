import type { Device } from '../device.ts';
import type { StepLog } from '../nn/learn.ts';
import type { Parameters } from '../nn/parameters.ts';
import { sigmoidRamp } from '../nn/schedule.ts';
import type { Unet3d, UnetMode } from '../nn/unet3d.ts';
import { add, scale } from '../ops/elementwise.ts';
import { entropy } from '../ops/entropy.ts';
import { gaussianNoise } from '../ops/gaussian_noise.ts';
import { maskedSoftmaxMse } from '../ops/masked_softmax_mse.ts';
import { softmax } from '../ops/softmax.ts';
import type { Recording } from '../recording.ts';
import type { Tensor } from '../tensor.ts';
import { checkUaMt } from './check.ts';
import type { UaMtOptions } from './options.ts';
import { laterPass, type TeacherBatch } from './step.ts';
import { createStudentTeacher, recordStudent, type StudentTeacher, teacherScalars } from './student_teacher.ts';

export type UaMt = StudentTeacher<UaMtOptions>;

/** What a step draws: `image` as the teacher's pass 0, 1, ... sees it; pass `passes` is the target's. */
export type UaMtDraws = (rec: Recording, image: Tensor, pass: number) => Tensor;

/** Streams that drawUaMt takes, one a teacher pass, and those of dropout that recordUaMt takes, the student's first. */
export function uaMtStreams({ passes }: Pick<UaMtOptions, 'passes'>): { noise: number; dropout: number } {
  return { noise: passes + 1, dropout: passes + 2 };
}

/** Fresh noise clip(noise N(0, 1), -noiseLimit, noiseLimit) for every replay; `counters` dense u32 [seed, step]. */
export function drawUaMt({ options }: UaMt, counters: Tensor, stream: number): UaMtDraws {
  const { noise: sd, noiseLimit: limit } = options;
  return (rec, image, pass) => gaussianNoise(rec, image, { counters, stream: stream + pass, sd, limit });
}

/** Errors: UsageError for options that it cannot run with. `network` is the student's, initialised. */
export async function createUaMt(
  device: Device,
  unet: Unet3d,
  network: Parameters,
  options: UaMtOptions,
): Promise<UaMt> {
  checkUaMt(options);
  const { classes } = unet.settings;
  return createStudentTeacher(device, unet, network, options, (step) => ({
    ...teacherScalars(options, step),
    threshold: uncertaintyThreshold(options, classes, step),
  }));
}

/**
 * (threshold + (1 - threshold) exp(-5 (1 - t / steps)^2)) ln C at step t: from 3/4 of the largest entropy to all of it (Yu et
 * al. 2019, whose ln 2 is that of their two classes; released codes keep ln 2 for any number).
 */
export function uncertaintyThreshold({ threshold, steps }: UaMtOptions, classes: number, step: number): number {
  return (threshold + (1 - threshold) * sigmoidRamp(step, steps)) * Math.log(classes);
}

/**
 * A step of UA-MT (Yu et al. 2019; method.md 10): L_sup + w(t) sum m (p_S - p_T)^2 / (2 sum m), m = [H(mean of T noisy teacher
 * predictions) < threshold(t)], p_T from one noisy pass more. The teacher normalises and drops out as in training. `certain` in
 * the log is the share of voxels with m = 1; with none the term is 0.
 *
 * @param mode of the student's pass: where dropout draws from; the teacher's passes take the next streams
 */
export function recordUaMt(
  rec: Recording,
  method: UaMt,
  batch: TeacherBatch,
  draws: UaMtDraws,
  mode: UnetMode = {},
): StepLog {
  const { scalars, options } = method;
  const { target, uncertainty } = rec.noGrad(() => {
    const predict = (pass: number) => teacherPass(rec, method, draws(rec, batch.weak, pass), laterPass(mode, 1 + pass));
    let sum = predict(0);
    for (let pass = 1; pass < options.passes; pass++) sum = add(rec, sum, predict(pass));
    return { target: predict(options.passes), uncertainty: entropy(rec, scale(rec, sum, 1 / options.passes)) };
  });
  const certainty = { uncertainty, scalars: scalars.tensor, index: scalars.index('threshold') };
  const consistencyOf = (logits: Tensor) => {
    const { loss, share } = maskedSoftmaxMse(rec, logits, target, certainty);
    return { consistency: loss, certain: share };
  };
  return recordStudent(rec, method, batch, consistencyOf, mode);
}

function teacherPass(rec: Recording, { unet, teacher }: UaMt, image: Tensor, mode: UnetMode): Tensor {
  return softmax(rec, unet.forward(rec, teacher, image, mode).logits);
}
