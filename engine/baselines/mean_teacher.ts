import type { Device } from '../device.ts';
import type { StepLog } from '../nn/learn.ts';
import type { Parameters } from '../nn/parameters.ts';
import type { Unet3d, UnetMode } from '../nn/unet3d.ts';
import { softmax } from '../ops/softmax.ts';
import { softmaxMse } from '../ops/softmax_mse.ts';
import type { Recording } from '../recording.ts';
import { checkMeanTeacher } from './check.ts';
import type { MeanTeacherOptions } from './options.ts';
import { laterPass, type TeacherBatch } from './step.ts';
import { createStudentTeacher, recordStudent, type StudentTeacher, teacherScalars } from './student_teacher.ts';

export type MeanTeacher = StudentTeacher<MeanTeacherOptions>;

/** Dropout streams that recordMeanTeacher takes, from that of its mode on. */
export const MEAN_TEACHER_DROPOUT_STREAMS = 2;

/** Errors: UsageError for options that it cannot run with. `network` is the student's, initialised. */
export async function createMeanTeacher(
  device: Device,
  unet: Unet3d,
  network: Parameters,
  options: MeanTeacherOptions,
): Promise<MeanTeacher> {
  checkMeanTeacher(options);
  return createStudentTeacher(device, unet, network, options, (step) => teacherScalars(options, step));
}

/**
 * A step of Mean Teacher (Tarvainen and Valpola 2017; method.md 10): L_sup + w(t) mean (p_S(strong) - p_T(weak))^2. The teacher
 * normalises and drops out as in training, like the authors'. What the views differ in is the caller's choice.
 *
 * @param mode of the student's pass: where dropout draws from; the teacher's takes the next stream
 */
export function recordMeanTeacher(
  rec: Recording,
  method: MeanTeacher,
  batch: TeacherBatch,
  mode: UnetMode = {},
): StepLog {
  const { unet, teacher } = method;
  const target = rec.noGrad(() => softmax(rec, unet.forward(rec, teacher, batch.weak, laterPass(mode, 1)).logits));
  return recordStudent(rec, method, batch, (logits) => ({ consistency: softmaxMse(rec, logits, target) }), mode);
}
