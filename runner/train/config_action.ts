import * as v from 'valibot';
import { type ActionOptions, actionPresets } from '../../engine/action/options.ts';
import { checkStage1 } from '../../engine/action/stage1_check.ts';
import { checkStage2 } from '../../engine/action/stage2_check.ts';
import { UsageError } from '../../engine/errors.ts';
import { count, countOrTriple, fraction, natural, nonNegative, positive } from './config_fields.ts';

/** The stages of ACTION in their order. */
export const ACTION_STAGES = ['1a', '1b', '2'] as const;
export type ActionStage = (typeof ACTION_STAGES)[number];

export type PresetName = keyof typeof actionPresets;
export const PRESET_NAMES = Object.keys(actionPresets) as PresetName[];

const view = v.picklist(['weak', 'strong']);

const schedule = {
  steps: natural,
  rate: positive,
  power: nonNegative,
  warmUp: natural,
  momentum: fraction,
  nesterov: v.boolean(),
  weightDecay: nonNegative,
  clip: nonNegative,
};

const distillation = {
  K: count,
  bankStart: v.picklist(['gaussian', 'fill']),
  centre: v.boolean(),
  tauS: v.number(),
  tauT: v.number(),
  weight: nonNegative,
};

/**
 * Section `action`: every constant of the method, as engine/action/options.ts documents them, and which stages are run. All of
 * them have a value in each preset.
 */
export const ActionSection = v.strictObject({
  stages: v.pipe(v.array(v.picklist(ACTION_STAGES)), v.minLength(1)),
  teacher: v.strictObject({ m: fraction, update: v.picklist(['after', 'before']) }),
  views: v.strictObject({ teacher: view, student: view }),
  global: v.strictObject({ ...distillation, bins: countOrTriple, hidden: count, d: count }),
  local: v.strictObject({
    ...distillation,
    input: v.picklist(['probabilities', 'logits']),
    pool: countOrTriple,
    window: countOrTriple,
    stride: countOrTriple,
  }),
  stage1a: v.strictObject({ ...schedule, batch: count, volumes: v.picklist(['unlabelled', 'all']) }),
  stage1b: v.strictObject({ ...schedule, labelledBatch: count, unlabelledBatch: natural }),
  stage2: v.strictObject({
    ...schedule,
    cycles: count,
    labelledBatch: count,
    unlabelledBatch: count,
    pseudo: v.optional(v.picklist(['patch', 'volume'])),
    partner: v.picklist(['unlabelled', 'labelled']),
    supervisedBatch: v.boolean(),
    imageWeight: v.picklist(['confident', 'one']),
    unlabelledVoxels: nonNegative,
    pseudoDice: v.boolean(),
    passes: v.picklist(['joint', 'separate']),
    teacherStart: v.picklist(['ema', 'student']),
    teacherNorm: v.picklist(['eval', 'train']),
    mixing: v.picklist(['classmix', 'cutmix', 'cutout', 'both', 'none']),
    box: v.picklist(['slab', 'cuboid']),
    keepOneClass: v.boolean(),
    strongConfidence: fraction,
    weakConfidence: fraction,
    unsupWeight: nonNegative,
    ancoWeight: nonNegative,
    ramp: fraction,
    queries: count,
    queryChoice: v.picklist(['hard', 'any']),
    negatives: count,
    negativeClasses: v.picklist(['related', 'uniform']),
    keys: v.picklist(['per-class', 'per-query', 'pool']),
    prototypes: v.picklist(['exact', 'sampled']),
    tau: v.number(),
    head: v.picklist(['dense-3x3x3', 'pointwise']),
    headHidden: count,
    headChannels: count,
    alignCorners: v.boolean(),
  }),
});

/** Every key may be left out. */
export type DeepPartial<T> = T extends readonly unknown[]
  ? T
  : T extends object
    ? { [K in keyof T]?: DeepPartial<T[K]> }
    : T;

export interface ActionConfig extends ActionOptions {
  readonly stages: readonly ActionStage[];
}

/** What each ablation of the paper's tables takes away, as settings of section `action`. */
export const ABLATIONS = {
  stage1: { stages: ['2'] },
  global: { global: { weight: 0 }, stage1a: { steps: 0 } },
  local: { local: { weight: 0 } },
  unsup: { stage2: { unsupWeight: 0 } },
  anco: { stage2: { ancoWeight: 0 } },
  mixing: { stage2: { mixing: 'none' } },
  'hard-queries': { stage2: { queryChoice: 'any' } },
  'hard-negatives': { stage2: { negativeClasses: 'uniform' } },
  'weak-teacher': { views: { teacher: 'strong' } },
  'strong-student': { views: { student: 'weak' } },
} as const;
export type Ablation = keyof typeof ABLATIONS;
export const ABLATION_NAMES = Object.keys(ABLATIONS) as Ablation[];

/** Where the options of each stage are. */
const SECTION_OF = { '1a': 'stage1a', '1b': 'stage1b', '2': 'stage2' } as const;

/** The options in which each stage has its learning rate. */
export const ACTION_RATES = ACTION_STAGES.map((stage) => `action.${SECTION_OF[stage]}.rate`);

/** The stages that will be run, those of no steps left out, and how many steps each has. */
export function stageSteps(action: ActionConfig): { stage: ActionStage; steps: number }[] {
  return ACTION_STAGES.filter((stage) => action.stages.includes(stage))
    .map((stage) => ({ stage, steps: action[SECTION_OF[stage]].steps }))
    .filter(({ steps }) => steps > 0);
}

/** What is asked of a whole run, which the stages have each for themselves. */
export interface Whole {
  readonly steps?: number;
  readonly batch?: number;
}

/**
 * What `explicit`, section `action` as written, leaves open: the preset's constants; `steps` of the whole run, dealt in the
 * preset's proportions to the stages that were not given any; `batch` as labelled and as unlabelled patches of a step.
 */
export function actionDefaults(preset: PresetName, explicit: DeepPartial<ActionConfig>, { steps, batch }: Whole) {
  const base = actionPresets[preset];
  const { stages = ACTION_STAGES } = explicit;
  const both = batch === undefined ? {} : { labelledBatch: batch, unlabelledBatch: batch };
  const section = {
    stage1a: { ...base.stage1a, ...(batch !== undefined && { batch: 2 * batch }) },
    stage1b: { ...base.stage1b, ...both },
    stage2: { ...base.stage2, ...both },
  };
  if (steps !== undefined) {
    const run = ACTION_STAGES.filter((stage) => stages.includes(stage)).map((stage) => SECTION_OF[stage]);
    const open = run.filter((name) => explicit[name]?.steps === undefined);
    const given = run.reduce((sum, name) => sum + Number(explicit[name]?.steps ?? 0), 0);
    const parts = deal(
      Math.max(0, steps - given),
      open.map((name) => base[name].steps),
    );
    for (const [i, name] of open.entries()) section[name] = { ...section[name], steps: parts[i] } as never;
  }
  return { ...base, ...section, stages };
}

/** `total` in whole parts, as near to the proportions as rounding allows. */
function deal(total: number, proportions: readonly number[]): number[] {
  const whole = proportions.reduce((sum, part) => sum + part, 0);
  let before = 0;
  return proportions.map((part) => {
    const from = Math.round((before / whole) * total);
    before += part;
    return Math.round((before / whole) * total) - from;
  });
}

/**
 * Steps and batch of the whole run, as its stages have them. Errors: UsageError for what a stage could not run with, and where
 * the whole was asked to be something else than its stages.
 */
export function checkAction(action: ActionConfig, wished: Whole): Required<Whole> {
  const stages = stageSteps(action);
  const last = stages.at(-1);
  if (!last) throw new UsageError('no stage of ACTION has a step; set action.stage2.steps or another stage above 0');
  const steps = stages.reduce((sum, stage) => sum + stage.steps, 0);
  if (wished.steps !== undefined && wished.steps !== steps) {
    const parts = stages.map(({ stage, steps: n }) => `${n} in stage ${stage}`).join(', ');
    throw new UsageError(
      `steps is ${wished.steps} but the stages have ${steps} (${parts}); give the whole or every stage, not both`,
    );
  }
  const batch = last.stage === '1a' ? action.stage1a.batch / 2 : action[SECTION_OF[last.stage]].labelledBatch;
  if (wished.batch !== undefined && wished.batch !== batch) {
    throw new UsageError(
      `batch is ${wished.batch} but stage ${last.stage} takes ${batch} labelled patches a step; give the whole or every stage, not both`,
    );
  }
  const idle = ACTION_STAGES.filter((stage) => !stages.some((run) => run.stage === stage)).map((s) => SECTION_OF[s]);
  const asRun = { ...action };
  for (const name of idle) asRun[name] = { ...action[name], steps: 0 } as never;
  try {
    if (stages.some(({ stage }) => stage !== '2')) checkStage1(asRun);
    if (stages.some(({ stage }) => stage === '2')) checkStage2(asRun);
  } catch (failure) {
    if (!(failure instanceof UsageError)) throw failure;
    throw new UsageError(asSettings(failure.message), { cause: failure });
  }
  return { steps, batch: Math.max(1, Math.floor(batch)) };
}

/** The engine's names of options as --set knows them. */
function asSettings(message: string): string {
  return message.replace(/(?<![.\w])(teacher|global|local|stage1a|stage1b|stage2)\.(?=\w)/g, 'action.$1.');
}
