import type { Device } from '../device.ts';
import { frozenCopy } from '../nn/ema.ts';
import { createLearning, type Learning } from '../nn/learn.ts';
import { Parameters } from '../nn/parameters.ts';
import { emaDecay, polyRate, sigmoidRamp } from '../nn/schedule.ts';
import { sgd } from '../nn/sgd.ts';
import { parametersState, type StatePart } from '../nn/state.ts';
import type { Unet3d } from '../nn/unet3d.ts';
import type { Triple } from '../shape.ts';
import { StepScalars } from '../step_scalars.ts';
import type { ActionOptions, Stage2Options } from './options.ts';
import { type RepresentationHead, representationHead } from './representation.ts';
import { checkStage2 } from './stage2_check.ts';

/** What changes from step to step of stage 2; the device reads it, nothing is recorded anew. */
export type Stage2Scalar = 'learning_rate' | 'ema_decay' | 'ramp';

/** Student, teacher, representation head and what trains them. */
export interface Stage2 {
  readonly unet: Unet3d;
  readonly options: ActionOptions;
  /** Evaluated at single voxels; the student's only (method.md 4.7). */
  readonly head: RepresentationHead;
  /** `head` is undefined with ancoWeight 0. */
  readonly student: { readonly network: Parameters; readonly head?: Parameters };
  readonly teacher: Parameters;
  /** With stage2.pseudo 'volume': the teacher as it was when the cycle began. */
  readonly labeller?: Parameters;
  readonly learning: Learning;
  readonly scalars: StepScalars<Stage2Scalar>;
  /** Uploads what step 0, 1, ... of the stage needs. */
  setStep(step: number): void;
  /** Everything an exact resume needs beside the step. */
  readonly state: readonly StatePart[];
  /** Frees all but the student's network, which was given. */
  destroy(): void;
}

/** What stage 2 begins with beside the student. */
export interface Stage2Start {
  /** Stage 1's teacher, which this one starts from unless stage2.teacherStart is 'student'; default the student. */
  readonly ema?: Parameters;
  /** The student has learnt nothing yet, as no stage came before. Default false. */
  readonly untrained?: boolean;
}

/**
 * Errors: UsageError for options that stage 2 cannot run with.
 *
 * @param network the student's, trained by stage 1
 * @param patch extents [z, y, x]
 */
export async function createStage2(
  device: Device,
  unet: Unet3d,
  network: Parameters,
  patch: Triple,
  options: ActionOptions,
  seed: number,
  { ema, untrained = false }: Stage2Start = {},
): Promise<Stage2> {
  checkStage2(options);
  const { stage2 } = options;
  const channels = [...unet.settings.channels].reverse();
  const head = representationHead(channels, patch, stage2);
  const headParameters = stage2.ancoWeight > 0 ? Parameters.create(device, head.specs, { seed }) : undefined;
  const teacher = await frozenCopy(network);
  if (ema && stage2.teacherStart === 'ema') await teacher.copyFrom(ema);
  const labeller = stage2.pseudo === 'volume' ? await frozenCopy(teacher) : undefined;

  const scalars = StepScalars.create<Stage2Scalar>(device, ['learning_rate', 'ema_decay', 'ramp']);
  const sets = [
    { name: 'network', parameters: network },
    ...(headParameters ? [{ name: 'head', parameters: headParameters }] : []),
  ];
  const learners = sets.map((set) => ({ ...set, optimiser: sgd(set.parameters, scalars, stage2) }));
  const learning = createLearning(device, unet.settings, learners);

  const state: StatePart[] = [
    parametersState('student', network),
    parametersState('teacher', teacher),
    ...(labeller ? [parametersState('labeller', labeller)] : []),
    ...(headParameters ? [parametersState('head', headParameters)] : []),
    ...learning.state,
  ];
  return {
    ...{ unet, options, head, teacher, labeller, learning, scalars, state },
    student: { network, ...(headParameters && { head: headParameters }) },
    setStep: (step) => scalars.set(stage2Scalars(options, step, untrained)),
    destroy() {
      learning.destroy();
      scalars.destroy();
      teacher.destroy();
      labeller?.destroy();
      headParameters?.destroy();
    },
  };
}

/** Steps of a cycle; the last may have fewer. */
export const cycleLength = ({ steps, cycles }: Pick<Stage2Options, 'steps' | 'cycles'>): number =>
  Math.ceil(steps / cycles);

/**
 * The step scalars of step 0, 1, .... Of a student that begins untrained the teacher is a true mean of the first steps, so that
 * it does not remember what was drawn at random.
 */
export function stage2Scalars(options: ActionOptions, step: number, untrained = false): Record<Stage2Scalar, number> {
  const { stage2, teacher } = options;
  const length = cycleLength(stage2);
  return {
    learning_rate: polyRate(step % length, { ...stage2, steps: length }),
    ema_decay: untrained ? emaDecay(step, teacher.m) : teacher.m,
    ramp: sigmoidRamp(step, stage2.ramp * length),
  };
}
