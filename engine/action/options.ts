import type { StageSchedule } from '../nn/schedule.ts';
import type { Triple } from '../shape.ts';
import type { ContrastOptions } from './contrast.ts';
import type { MixOptions, Partner } from './mix.ts';
import type { HeadOptions } from './representation.ts';

/** The teacher, an exponential moving average of the student: xi = m xi + (1 - m) theta. */
export interface TeacherOptions {
  /** m, constant. */
  readonly m: number;
  /**
   * Where stage 1 updates it: 'after' the optimiser step, or 'before' the teacher's pass of the next one (the official
   * code). The keys are the same either way; at the end of a stage 'before' is one update behind.
   */
  readonly update: 'after' | 'before';
}

/** Which of the two views a network sees: 'weak' is geometry only, 'strong' has intensity changes and blur on top. */
export interface ViewOptions {
  readonly teacher: 'weak' | 'strong';
  readonly student: 'weak' | 'strong';
}

/** What the global and the local distillation have in common: a bank of K keys and KL(P_t || P_s) over it. */
export interface DistillationOptions {
  /** K: rows of the memory bank. */
  readonly K: number;
  /** First content of the bank: unit-norm Gaussian rows, or nothing, and no loss until the teacher has filled it. */
  readonly bankStart: 'gaussian' | 'fill';
  /** Subtract the bank's mean from queries, keys and bank before normalising them (method.md 12.9). */
  readonly centre: boolean;
  /** tau_s: temperature of the student's similarities. */
  readonly tauS: number;
  /** tau_t: temperature of the teacher's similarities. */
  readonly tauT: number;
  /** k1 or k2: weight in the loss of stage 1b. 0 leaves the loss out. */
  readonly weight: number;
}

/** L_glob (method.md 2): the encoder's bottleneck, pooled to a grid of bins and flattened, through an MLP. */
export interface GlobalOptions extends DistillationOptions {
  /** Bins [z, y, x] of the pooled bottleneck, pooled by floor(extent / bins) cells; 1 is global average pooling. */
  readonly bins: number | Triple;
  /** Width of the hidden layer of projector and predictor. */
  readonly hidden: number;
  /** d: length of a key. */
  readonly d: number;
}

/** L_loc (method.md 3): windows of the pooled output, compared location by location across the bank. */
export interface LocalOptions extends DistillationOptions {
  /** What is pooled: class probabilities or logits. */
  readonly input: 'probabilities' | 'logits';
  /** Voxels [z, y, x] averaged into one cell. */
  readonly pool: number | Triple;
  /** p: cells of a window along each axis; a window covers p pool voxels. */
  readonly window: number | Triple;
  /** Cells from one window to the next. */
  readonly stride: number | Triple;
}

/** Stage 1a: the encoder learns from L_glob alone, on unlabelled (or all) volumes. */
export interface Stage1aOptions extends StageSchedule {
  /** B: patches a step. */
  readonly batch: number;
  /** Volumes that patches are cut from; labels are not read either way. */
  readonly volumes: 'unlabelled' | 'all';
}

/** Stage 1b: L_sup + k1 L_glob + k2 L_loc over labelled and unlabelled patches together. */
export interface Stage1bOptions extends StageSchedule {
  readonly labelledBatch: number;
  readonly unlabelledBatch: number;
}

/**
 * Stage 2: L_sup + r(t) (unsupWeight L_unsup + ancoWeight L_anco) (method.md 4); without a supervised batch
 * unsupWeight L_unsup + r(t) ancoWeight L_anco.
 */
export interface Stage2Options extends StageSchedule, MixOptions, ContrastOptions, HeadOptions {
  /**
   * Equal parts of the stage, each with a rate schedule of its own (warm restarts, Loshchilov and Hutter 2017): the labels of a
   * teacher that has settled, for a student that moves again. The ramp is over the first part.
   */
  readonly cycles: number;
  readonly labelledBatch: number;
  readonly unlabelledBatch: number;
  /**
   * What pseudo-labels are made from: 'patch', the teacher's view of every patch as it is drawn (method.md 4.1); or 'volume', whole
   * unlabelled volumes, which the teacher of that moment predicts whenever a cycle begins. These are deformed with the patches:
   * labels of a teacher that has settled and sees what surrounds a patch, and steps without a pass of the teacher. Default 'patch'.
   */
  readonly pseudo?: 'patch' | 'volume';
  /**
   * What unlabelled patches are mixed with: each other (the paper), or labelled ones whose ground truth is learnt beside the
   * pseudo-labels (bidirectional copy-paste, Bai et al. 2023); mix_pairs.ts has the rule. The student's intensity changes come
   * after mixing in the first case, before it in the second, as labelled patches have changes of their own.
   */
  readonly partner: Partner;
  /**
   * Whether the student also sees the labelled patches by themselves, for L_sup. False takes partner 'labelled': what is
   * labelled is learnt inside mixed patches alone, by L_unsup, which then has its full weight from the first step.
   */
  readonly supervisedBatch: boolean;
  /** The student sees both batches at once, or one after the other, which differs with batch norm only. */
  readonly passes: 'joint' | 'separate';
  /** Weights the teacher starts from: stage 1's EMA (intended) or the student (the official code). */
  readonly teacherStart: 'ema' | 'student';
  /** Batch norm of the teacher: by its running statistics or by the batch's. */
  readonly teacherNorm: 'eval' | 'train';
  /** Voxels at least this confident count towards an image's weight w_b, and make a query easy. */
  readonly strongConfidence: number;
  /**
   * Weight of an image in L_unsup: 'confident', its share w_b of confident voxels, or 1. With partner 'labelled' the share is
   * the unlabelled patch's before mixing, and weighs its voxels only.
   */
  readonly imageWeight: 'confident' | 'one';
  /** Weight of unlabelled voxels in L_unsup, where labelled ones of mixed patches have 1; 1 with partner 'unlabelled'. */
  readonly unlabelledVoxels: number;
  /** L_unsup is the mean of cross-entropy and soft Dice, all sums with the weights above, rather than cross-entropy alone. */
  readonly pseudoDice: boolean;
  /** Unlabelled voxels at least this confident take part in L_anco. */
  readonly weakConfidence: number;
  /** Weight of L_unsup. 0 leaves it out. */
  readonly unsupWeight: number;
  /** Weight of L_anco. 0 leaves it out. */
  readonly ancoWeight: number;
  /**
   * Share of the steps over which both weights (without a supervised batch that of L_anco) rise by exp(-5 (1 - t)^2); 0 for
   * full weight at once.
   */
  readonly ramp: number;
}

/** Every constant of ACTION, by the names of method.md. */
export interface ActionOptions {
  readonly teacher: TeacherOptions;
  readonly views: ViewOptions;
  readonly global: GlobalOptions;
  readonly local: LocalOptions;
  readonly stage1a: Stage1aOptions;
  readonly stage1b: Stage1bOptions;
  readonly stage2: Stage2Options;
}

const views: ViewOptions = { teacher: 'weak', student: 'strong' };
const teacher: TeacherOptions = { m: 0.99, update: 'after' };
const published = { rate: 0.01, power: 0.9, warmUp: 0, momentum: 0.9, weightDecay: 1e-4, clip: 0 };
const warmed = { power: 0.9, warmUp: 20, momentum: 0.9, weightDecay: 1e-4, clip: 5 };

/** The published constants, defects mended (method.md 11): patches like 112 x 112 x 80 and tens of thousands of steps. */
export const paper: ActionOptions = {
  teacher,
  views,
  global: {
    ...{ K: 36, bankStart: 'gaussian', centre: false, tauS: 0.1, tauT: 0.01, weight: 1 },
    ...{ bins: 1, hidden: 128, d: 128 },
  },
  local: {
    ...{ K: 36, bankStart: 'gaussian', centre: false, tauS: 0.1, tauT: 0.01, weight: 1 },
    ...{ input: 'logits', pool: 5, window: 4, stride: 2 },
  },
  stage1a: { ...published, steps: 30000, nesterov: false, batch: 2, volumes: 'unlabelled' },
  stage1b: { ...published, steps: 30000, nesterov: false, labelledBatch: 1, unlabelledBatch: 1 },
  stage2: {
    ...published,
    ...{ steps: 30000, cycles: 1, nesterov: true, labelledBatch: 2, unlabelledBatch: 2, teacherStart: 'ema' },
    ...{ teacherNorm: 'eval' },
    ...{
      partner: 'unlabelled',
      supervisedBatch: true,
      imageWeight: 'confident',
      unlabelledVoxels: 1,
      pseudoDice: false,
    },
    ...{ passes: 'separate', mixing: 'classmix', box: 'slab', keepOneClass: false, strongConfidence: 0.97 },
    ...{ weakConfidence: 0.7, unsupWeight: 1, ancoWeight: 0.01, ramp: 0, queries: 256, queryChoice: 'hard' },
    ...{ negatives: 512, negativeClasses: 'related', keys: 'per-class', prototypes: 'exact', tau: 0.5 },
    ...{ head: 'dense-3x3x3', headHidden: 128, headChannels: 128, alignCorners: true },
  },
};

/** What works on volumes of some 40 voxels an axis, patches of 32 x 48 x 32 and a few hundred steps. */
export const small: ActionOptions = {
  teacher,
  views,
  global: {
    ...{ K: 36, bankStart: 'fill', centre: true, tauS: 0.1, tauT: 0.05, weight: 0.1 },
    ...{ bins: [2, 3, 2], hidden: 64, d: 128 },
  },
  local: {
    ...{ K: 36, bankStart: 'fill', centre: true, tauS: 0.1, tauT: 0.05, weight: 0.1 },
    ...{ input: 'probabilities', pool: 4, window: 4, stride: 2 },
  },
  stage1a: { ...warmed, rate: 0.01, steps: 100, nesterov: false, batch: 4, volumes: 'all' },
  stage1b: { ...warmed, rate: 0.3, steps: 100, nesterov: false, labelledBatch: 2, unlabelledBatch: 2 },
  stage2: {
    ...warmed,
    ...{ rate: 0.3, steps: 500, cycles: 2, nesterov: true, labelledBatch: 2, unlabelledBatch: 2 },
    ...{
      partner: 'unlabelled',
      supervisedBatch: true,
      imageWeight: 'confident',
      unlabelledVoxels: 1,
      pseudoDice: false,
    },
    ...{ passes: 'joint', teacherStart: 'student', teacherNorm: 'eval', mixing: 'both', box: 'cuboid' },
    ...{ keepOneClass: true, strongConfidence: 0.97, weakConfidence: 0.7, unsupWeight: 1, ancoWeight: 0.01, ramp: 0.3 },
    ...{ queries: 256, queryChoice: 'hard', negatives: 512, negativeClasses: 'related', keys: 'pool' },
    ...{ prototypes: 'sampled', tau: 0.5, head: 'pointwise', headHidden: 64, headChannels: 32, alignCorners: false },
  },
};

export const actionPresets = { paper, small } as const;
