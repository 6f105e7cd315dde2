import { emaUpdate } from '../nn/ema.ts';
import { type Learned, learn, type StepLog } from '../nn/learn.ts';
import type { UnetMode, UnetOutput } from '../nn/unet3d.ts';
import { argmax } from '../ops/argmax.ts';
import { concatBatch } from '../ops/concat_batch.ts';
import { add, scale, scaleBy } from '../ops/elementwise.ts';
import { randomWords } from '../ops/random_words.ts';
import { sliceBatch } from '../ops/slice.ts';
import { diceCrossEntropy } from '../ops/soft_dice.ts';
import type { Recording } from '../recording.ts';
import type { Tensor } from '../tensor.ts';
import { anatomicalContrast, CONTRAST_STREAMS, type ContrastDraws, drawContrast } from './contrast.ts';
import { mixWords, type PseudoLabelled } from './mix.ts';
import { pseudoLabels, unsupervisedLoss } from './pseudo.ts';
import type { FeatureLevels } from './representation.ts';
import { indexVoxels, type LabelledPass, voxelCodes } from './sampling.ts';
import type { Stage2 } from './stage2_parts.ts';
import { studentBatch } from './student_batch.ts';

/** A step's patches; intensity changes of the labelled ones are done already. */
export interface Stage2Batch {
  /** [labelled, D, H, W, C] */
  readonly labelled: Tensor;
  /** Dense u32 [labelled, D, H, W]; labels of C and above are ignored. */
  readonly labels: Tensor;
  /** [unlabelled, D, H, W, C], before intensity changes. */
  readonly unlabelled: Tensor;
  /** [unlabelled, D, H, W, classes]: what their pseudo-labels are made from with stage2.pseudo 'volume', and only then. */
  readonly probabilities?: Tensor;
}

/** Changes of intensity, never of geometry, appended where a network sees an image; none by default. */
export interface Stage2Views {
  /** Of the unlabelled patches, before the teacher. */
  readonly teacher?: (rec: Recording, image: Tensor) => Tensor;
  /** Of the mixed patches, before the student; with stage2.partner 'labelled' of the unlabelled ones, before they are mixed. */
  readonly student?: (rec: Recording, image: Tensor) => Tensor;
}

/** Random words of a step. */
export interface Stage2Draws extends ContrastDraws {
  /** [unlabelled, mixWords(classes)] */
  readonly mix: Tensor;
}

/** Streams that drawStage2 takes, from the given one on. */
export const STAGE2_STREAMS = 1 + CONTRAST_STREAMS;

/** Fresh draws for every replay; `counters` dense u32 [seed, step]. */
export function drawStage2(rec: Recording, { unet, options }: Stage2, counters: Tensor, stream: number): Stage2Draws {
  const { classes } = unet.settings;
  const { stage2 } = options;
  return {
    mix: randomWords(rec, counters, stream, [stage2.unlabelledBatch, mixWords(classes)]),
    ...drawContrast(rec, counters, stream + 1, classes, stage2),
  };
}

/**
 * A step of stage 2 (method.md 4): L_sup + r(t) (L_unsup + 0.01 L_anco) on a labelled and an unlabelled batch, the latter with
 * the teacher's pseudo-labels and mixed. Without stage2.supervisedBatch the student sees mixed patches alone:
 * L_unsup + r(t) 0.01 L_anco. Nothing in it waits for the host.
 *
 * @param mode of the student's passes: where dropout draws from; a second pass takes the next stream
 */
export function recordStage2(
  rec: Recording,
  stage: Stage2,
  batch: Stage2Batch,
  draws: Stage2Draws,
  views: Stage2Views = {},
  mode: UnetMode = {},
): StepLog {
  const { unet, scalars } = stage;
  const { stage2 } = stage.options;
  const { classes } = unet.settings;

  const pseudo = batch.probabilities
    ? { image: batch.unlabelled, ...argmax(rec, batch.probabilities, 'probabilities') }
    : teacherLabels(rec, stage, batch.unlabelled, views);
  const mixed = studentBatch(rec, stage, batch, pseudo, draws.mix, views);
  const { labelled, unlabelled, levels } = studentPasses(
    rec,
    stage,
    stage2.supervisedBatch ? batch.labelled : undefined,
    mixed.image,
    mode,
  );

  const log: Record<string, Tensor> = {};
  const terms: Tensor[] = [];
  const ramped: Tensor[] = [];
  const passes: LabelledPass[] = [];
  if (labelled) {
    const { loss, ce, dice } = diceCrossEntropy(rec, labelled, batch.labels);
    Object.assign(log, { supervised: loss, ce, dice });
    terms.push(loss);
    passes.push({ logits: labelled, labels: batch.labels });
  }
  if (stage2.unsupWeight > 0) {
    const loss = unsupervisedLoss(rec, unlabelled, mixed, stage2.pseudoDice);
    (labelled ? ramped : terms).push(scale(rec, loss, stage2.unsupWeight));
    Object.assign(log, { unsupervised: loss, confident: mixed.confident });
  }
  if (stage2.ancoWeight > 0) {
    passes.push({ logits: unlabelled, labels: mixed.labels, confidence: mixed.confidence });
    const thresholds = { weak: stage2.weakConfidence, strong: stage2.strongConfidence };
    const index = indexVoxels(rec, voxelCodes(rec, passes, thresholds), classes);
    const { head, student } = stage;
    log.contrast = anatomicalContrast(rec, head, student.head!, levels, index, draws, stage2);
    ramped.push(scale(rec, log.contrast, stage2.ancoWeight));
  }
  const sum = (losses: Tensor[]) => losses.reduce((a, b) => add(rec, a, b));
  if (ramped.length > 0) terms.push(scaleBy(rec, sum(ramped), scalars.tensor, scalars.index('ramp')));
  const loss = sum(terms);
  return { loss, ...log, ...update(rec, stage, loss) };
}

/** Pseudo-labels of the unlabelled patches as they are: what the teacher says of its view of them. */
function teacherLabels(rec: Recording, stage: Stage2, image: Tensor, views: Stage2Views): PseudoLabelled {
  const mode: UnetMode = { training: stage.options.stage2.teacherNorm === 'train', dropout: false };
  return rec.noGrad(() => {
    const view = views.teacher ? views.teacher(rec, image) : image;
    return pseudoLabels(rec, image, stage.unet.forward(rec, stage.teacher, view, mode).logits);
  });
}

/** Logits of both batches, or of the unlabelled one alone, and the feature levels over all their samples, labelled ones first. */
function studentPasses(
  rec: Recording,
  { unet, student, options }: Stage2,
  labelled: Tensor | undefined,
  unlabelled: Tensor,
  mode: UnetMode,
): { labelled?: Tensor; unlabelled: Tensor; levels: FeatureLevels } {
  const levelsOf = (passes: UnetOutput[]) => passes[0].features.map((_, level) => passes.map((p) => p.features[level]));
  if (!labelled) {
    const output = unet.forward(rec, student.network, unlabelled, mode);
    return { unlabelled: output.logits, levels: levelsOf([output]) };
  }
  if (options.stage2.passes === 'joint') {
    const output = unet.forward(rec, student.network, concatBatch(rec, [labelled, unlabelled]), mode);
    const [first, all] = [labelled.shape[0], output.logits.shape[0]];
    return {
      labelled: sliceBatch(rec, output.logits, 0, first),
      unlabelled: sliceBatch(rec, output.logits, first, all),
      levels: levelsOf([output]),
    };
  }
  const next = mode.dropout ? { ...mode, dropout: { ...mode.dropout, stream: mode.dropout.stream + 1 } } : mode;
  const passes = [
    unet.forward(rec, student.network, labelled, mode),
    unet.forward(rec, student.network, unlabelled, next),
  ];
  return { labelled: passes[0].logits, unlabelled: passes[1].logits, levels: levelsOf(passes) };
}

/** Backward, clipped SGD, teacher right after it. */
function update(rec: Recording, stage: Stage2, loss: Tensor): Learned {
  const { student, teacher, learning, scalars, options } = stage;
  const learned = learn(rec, loss, learning, options.stage2.clip);
  emaUpdate(rec, teacher, student.network, scalars);
  return learned;
}
