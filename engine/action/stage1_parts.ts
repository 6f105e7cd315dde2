import type { Device } from '../device.ts';
import { createLearning, type Learning } from '../nn/learn.ts';
import { Parameters } from '../nn/parameters.ts';
import { polyRate } from '../nn/schedule.ts';
import { sgd } from '../nn/sgd.ts';
import { parametersState, type StatePart } from '../nn/state.ts';
import type { Unet3d } from '../nn/unet3d.ts';
import { patchMultiple } from '../nn/unet3d_config.ts';
import type { Triple } from '../shape.ts';
import { StepScalars } from '../step_scalars.ts';
import { type BankScalar, bankScalars, createMemoryBank, type MemoryBank } from './bank.ts';
import { type DistillationHead, globalHead, localHead } from './heads.ts';
import type { ActionOptions, DistillationOptions } from './options.ts';
import { checkStage1 } from './stage1_check.ts';
import { createTeacher, destroyTeacher, type Followed } from './teacher.ts';

export type Substage = '1a' | '1b';

/** What changes from step to step of stage 1; the device reads it, nothing is recorded anew. */
export type Stage1Scalar = 'learning_rate' | 'ema_decay' | 'global_active' | 'local_active' | BankScalar;

/** Student and teacher of both substages: 1b goes on with the networks and heads of 1a. */
export interface Stage1Networks {
  readonly device: Device;
  readonly unet: Unet3d;
  readonly options: ActionOptions;
  readonly seed: number;
  readonly heads: { readonly global: DistillationHead; readonly local?: DistillationHead };
  readonly student: { readonly network: Parameters; readonly projectors: Parameters; readonly predictors: Parameters };
  readonly teacher: Followed;
  /** All but the student's network, which was given. */
  destroy(): void;
}

/** One of the two distillations of a substage. */
export interface Part {
  readonly name: 'global' | 'local';
  readonly head: DistillationHead;
  readonly bank: MemoryBank;
  readonly options: DistillationOptions;
}

/** What one substage has of its own: empty banks, optimisers at rest. */
export interface Stage1 {
  readonly networks: Stage1Networks;
  readonly substage: Substage;
  readonly parts: readonly Part[];
  readonly learning: Learning;
  readonly scalars: StepScalars<Stage1Scalar>;
  /** Uploads what step 0, 1, ... of the substage needs. */
  setStep(step: number): void;
  /** Everything an exact resume needs beside the step. */
  readonly state: readonly StatePart[];
  destroy(): void;
}

/**
 * Heads for a network and a teacher of both, equal to the student at first (method.md 1). Errors: UsageError for options that
 * stage 1 cannot run with, or a patch smaller than the local windows.
 *
 * @param patch extents [z, y, x] of the views
 */
export async function createStage1Networks(
  device: Device,
  unet: Unet3d,
  network: Parameters,
  patch: Triple,
  options: ActionOptions,
  seed: number,
): Promise<Stage1Networks> {
  checkStage1(options);
  const { channels, strides, classes } = unet.settings;
  const multiple = patchMultiple(strides);
  const cells: Triple = [patch[0] / multiple[0], patch[1] / multiple[1], patch[2] / multiple[2]];
  const global = globalHead(options.global, cells, channels[channels.length - 1]);
  const local = options.local.weight > 0 ? localHead(options.local, patch, classes) : undefined;
  const specs = (of: 'projector' | 'predictor') => [...global[of], ...(local?.[of] ?? [])];
  const projectors = Parameters.create(device, specs('projector'), { seed });
  const predictors = Parameters.create(device, specs('predictor'), { seed });
  const teacher = await createTeacher({ network, projectors });
  return {
    ...{ device, unet, options, seed, teacher },
    heads: { global, ...(local && { local }) },
    student: { network, projectors, predictors },
    destroy() {
      destroyTeacher(teacher);
      projectors.destroy();
      predictors.destroy();
    },
  };
}

/** Banks, optimisers and step scalars of a substage. 1a trains encoder and global head, 1b everything with a weight above 0. */
export function enterStage1(networks: Stage1Networks, substage: Substage): Stage1 {
  const { device, unet, options, seed, heads, student, teacher } = networks;
  const part = (name: 'global' | 'local', head: DistillationHead): Part => {
    const bank = createMemoryBank(device, `${name}_bank`, options[name], head.shape, seed);
    return { name, head, bank, options: options[name] };
  };
  const parts: Part[] = [];
  if (substage === '1a' || options.global.weight > 0) parts.push(part('global', heads.global));
  if (substage === '1b' && heads.local) parts.push(part('local', heads.local));

  const scalars = StepScalars.create<Stage1Scalar>(device, [
    ...(['learning_rate', 'ema_decay', 'global_active', 'local_active'] as const),
    ...(['global_bank_cursor', 'global_bank_filled', 'local_bank_cursor', 'local_bank_filled'] as const),
  ]);
  const trains = (name: string) => substage === '1b' || name.startsWith('encoder.');
  const ofParts = (name: string) => parts.some((p) => name.startsWith(`${p.name}_`));
  const schedule = substage === '1a' ? options.stage1a : options.stage1b;
  const sets = [
    { name: 'network', parameters: student.network, only: trains },
    ...(parts.length > 0
      ? [
          { name: 'projectors', parameters: student.projectors, only: ofParts },
          { name: 'predictors', parameters: student.predictors, only: ofParts },
        ]
      : []),
  ];
  const learners = sets.map(({ name, parameters, only }) => ({
    ...{ name, parameters },
    optimiser: sgd(parameters, scalars, { ...schedule, only }),
  }));
  const learning = createLearning(device, unet.settings, learners);

  const state: StatePart[] = [
    parametersState('student', student.network),
    parametersState('projectors', student.projectors),
    parametersState('predictors', student.predictors),
    parametersState('teacher', teacher.network),
    parametersState('teacher.projectors', teacher.projectors),
    ...learning.state,
    ...parts.map(({ bank }) => bank),
  ];
  return {
    ...{ networks, substage, parts, learning, scalars, state },
    setStep: (step) => scalars.set(stage1Scalars(substage, options, step)),
    destroy() {
      learning.destroy();
      for (const { bank } of parts) bank.destroy();
      scalars.destroy();
    },
  };
}

/** Keys that went into the banks before a step. */
function pushedBefore(substage: Substage, { stage1a, stage1b }: ActionOptions, step: number): number {
  return step * (substage === '1a' ? stage1a.batch : stage1b.labelledBatch + stage1b.unlabelledBatch);
}

/** Whether a step of stage 1a only fills the bank: record it with recordStage1aFill. */
export function fillsBank({ stage1a, global }: ActionOptions, step: number): boolean {
  return global.bankStart === 'fill' && step * stage1a.batch < global.K;
}

/** The step scalars of step 0, 1, ...; a distillation is active (1) from when its bank is full. */
export function stage1Scalars(
  substage: Substage,
  options: ActionOptions,
  step: number,
): Partial<Record<Stage1Scalar, number>> {
  const pushed = pushedBefore(substage, options, step);
  const active = ({ K, bankStart }: DistillationOptions) => Number(bankStart === 'gaussian' || pushed >= K);
  return {
    learning_rate: polyRate(step, substage === '1a' ? options.stage1a : options.stage1b),
    ema_decay: options.teacher.m,
    global_active: active(options.global),
    local_active: active(options.local),
    ...bankScalars('global_bank', options.global, pushed),
    ...bankScalars('local_bank', options.local, pushed),
  };
}
