import type { Device } from '../device.ts';
import { createOptimiser, OPTIMISER_SCALARS, type OptimiserScalar, optimiserScalars } from '../nn/create_optimiser.ts';
import { emaUpdate, frozenCopy } from '../nn/ema.ts';
import { createLearning, type Learning, learn, type StepLog } from '../nn/learn.ts';
import type { Parameters } from '../nn/parameters.ts';
import { emaDecay, sigmoidRamp } from '../nn/schedule.ts';
import { parametersState, type StatePart } from '../nn/state.ts';
import type { Unet3d, UnetMode } from '../nn/unet3d.ts';
import { add, scaleBy } from '../ops/elementwise.ts';
import { diceCrossEntropy } from '../ops/soft_dice.ts';
import type { Recording } from '../recording.ts';
import { StepScalars } from '../step_scalars.ts';
import type { Tensor } from '../tensor.ts';
import type { MeanTeacherOptions } from './options.ts';
import { jointPass, type TeacherBatch } from './step.ts';

/** What changes from step to step with a teacher; `threshold` is UA-MT's. */
export type TeacherScalar = OptimiserScalar | 'ema_decay' | 'consistency' | 'threshold';

/** A student that learns and a teacher that follows it: Mean Teacher, and UA-MT with more options. */
export interface StudentTeacher<Options extends MeanTeacherOptions> {
  readonly unet: Unet3d;
  readonly options: Options;
  readonly student: Parameters;
  /** Without gradients; equal to the student at first. */
  readonly teacher: Parameters;
  readonly learning: Learning;
  readonly scalars: StepScalars<TeacherScalar>;
  /** Uploads what step 0, 1, ... needs. */
  setStep(step: number): void;
  /** Everything an exact resume needs beside the step: student, teacher, optimiser.network.*, loss_scale where there is one. */
  readonly state: readonly StatePart[];
  /** Frees all but the student's network, which was given. */
  destroy(): void;
}

/** @param scalarsAt the step scalars of step 0, 1, ... */
export async function createStudentTeacher<Options extends MeanTeacherOptions>(
  device: Device,
  unet: Unet3d,
  student: Parameters,
  options: Options,
  scalarsAt: (step: number) => Partial<Record<TeacherScalar, number>>,
): Promise<StudentTeacher<Options>> {
  const teacher = await frozenCopy(student);
  const names: TeacherScalar[] = [...OPTIMISER_SCALARS, 'ema_decay', 'consistency', 'threshold'];
  const scalars = StepScalars.create(device, names);
  const optimiser = createOptimiser(student, scalars, { ...options, name: options.optimiser });
  const learning = createLearning(device, unet.settings, [{ name: 'network', parameters: student, optimiser }]);
  return {
    ...{ unet, options, student, teacher, learning, scalars },
    setStep: (step) => scalars.set(scalarsAt(step)),
    state: [parametersState('student', student), parametersState('teacher', teacher), ...learning.state],
    destroy() {
      learning.destroy();
      scalars.destroy();
      teacher.destroy();
    },
  };
}

/** Rate, EMA decay and consistency weight of step 0, 1, .... */
export function teacherScalars(options: MeanTeacherOptions, step: number): Partial<Record<TeacherScalar, number>> {
  return {
    ...optimiserScalars(step, options),
    ema_decay: emaDecay(step, options.m),
    consistency: options.weight * sigmoidRamp(step, options.ramp * options.steps),
  };
}

/**
 * The student's part of a step: L_sup + w(t) consistency from one pass over both batches, backward, clipped update, then the
 * teacher. `consistency` is of the unlabelled logits; what else it returns goes into the log.
 */
export function recordStudent(
  rec: Recording,
  { unet, options, student, teacher, learning, scalars }: StudentTeacher<MeanTeacherOptions>,
  batch: TeacherBatch,
  consistencyOf: (unlabelled: Tensor) => { readonly consistency: Tensor } & StepLog,
  mode: UnetMode,
): StepLog {
  const { labelled, unlabelled } = jointPass(rec, unet, student, batch, mode);
  const { loss: supervised, ce, dice } = diceCrossEntropy(rec, labelled, batch.labels);
  const unsupervised = consistencyOf(unlabelled);
  const weighted = scaleBy(rec, unsupervised.consistency, scalars.tensor, scalars.index('consistency'));
  const loss = add(rec, supervised, weighted);
  const learned = learn(rec, loss, learning, options.clip);
  emaUpdate(rec, teacher, student, scalars);
  return { loss, supervised, ce, dice, ...unsupervised, ...learned };
}
