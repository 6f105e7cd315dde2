import { type Learned, learn, type StepLog } from '../nn/learn.ts';
import type { UnetMode } from '../nn/unet3d.ts';
import { add, scale, scaleBy } from '../ops/elementwise.ts';
import { sliceBatch } from '../ops/slice.ts';
import { diceCrossEntropy } from '../ops/soft_dice.ts';
import type { Recording } from '../recording.ts';
import type { Tensor } from '../tensor.ts';
import { pushKeys } from './bank.ts';
import { distillationLoss } from './distill.ts';
import type { Part, Stage1 } from './stage1_parts.ts';
import { updateTeacher } from './teacher.ts';

/** Two views of the same patches, [B, D, H, W, C] each: weak for the teacher, strong for the student. */
export interface Views {
  readonly weak: Tensor;
  readonly strong: Tensor;
}

export interface LabelledViews extends Views {
  /** Dense u32 [labelled, D, H, W]: labels of the first samples of the views. */
  readonly labels: Tensor;
}

/** The teacher normalises by the batch and keeps running statistics of its own, but drops nothing (method.md 1, A12). */
const TEACHER: UnetMode = { training: true, dropout: false };

/**
 * A step of stage 1a (method.md 2): the encoder learns L_glob from unlabelled views.
 *
 * @param mode of the student's pass: where dropout draws from
 */
export function recordStage1a(rec: Recording, stage: Stage1, { weak, strong }: Views, mode: UnetMode = {}): StepLog {
  const { unet, student } = stage.networks;
  const [global] = stage.parts;
  beforeTeacher(rec, stage);
  const keys = teacherKeys(rec, stage, weak);

  const bottleneck = deepest(unet.encode(rec, student.network, strong, mode));
  const { loss, cosine } = distilled(rec, stage, global, bottleneck, keys.global);

  const learned = update(rec, stage, loss);
  pushKeys(rec, global.bank, keys.global, stage.scalars);
  return { loss, global_cosine: cosine, ...learned };
}

/** A step of stage 1a while its bank is not full (fillsBank): the teacher's keys go in, nothing is learned. */
export function recordStage1aFill(rec: Recording, stage: Stage1, weak: Tensor): void {
  const [{ bank }] = stage.parts;
  pushKeys(rec, bank, teacherKeys(rec, stage, weak).global, stage.scalars);
}

/**
 * A step of stage 1b (method.md 3): L_sup + k1 L_glob + k2 L_loc, labelled samples first in the views. A distillation is zero,
 * in the log too, while its bank is not full.
 */
export function recordStage1b(
  rec: Recording,
  stage: Stage1,
  { weak, strong, labels }: LabelledViews,
  mode: UnetMode = {},
): StepLog {
  const { unet, student } = stage.networks;
  beforeTeacher(rec, stage);
  const keys = teacherKeys(rec, stage, weak);

  const { logits, bottleneck } = unet.forward(rec, student.network, strong, mode);
  const supervised = diceCrossEntropy(rec, sliceBatch(rec, logits, 0, labels.shape[0]), labels);
  const log: Record<string, Tensor> = { supervised: supervised.loss, ce: supervised.ce, dice: supervised.dice };
  let loss = supervised.loss;
  for (const part of stage.parts) {
    const output = part.name === 'global' ? bottleneck : logits;
    const term = distilled(rec, stage, part, output, keys[part.name]);
    const active = scaleBy(rec, term.loss, stage.scalars.tensor, stage.scalars.index(`${part.name}_active`));
    loss = add(rec, loss, scale(rec, active, part.options.weight));
    log[part.name] = active;
    log[`${part.name}_cosine`] = term.cosine;
  }

  const learned = update(rec, stage, loss);
  for (const { name, bank } of stage.parts) pushKeys(rec, bank, keys[name], stage.scalars);
  return { loss, ...log, ...learned };
}

/** The teacher's projections of its view by part, cut off from differentiation; only as much of the network as they need. */
function teacherKeys(rec: Recording, stage: Stage1, weak: Tensor): Record<string, Tensor> {
  const { unet, teacher } = stage.networks;
  const keys: Record<string, Tensor> = {};
  if (stage.parts.length === 0) return keys;
  rec.noGrad(() => {
    const levels = unet.encode(rec, teacher.network, weak, TEACHER);
    for (const { name, head } of stage.parts) {
      const output = name === 'global' ? deepest(levels) : unet.decode(rec, teacher.network, levels, TEACHER).logits;
      keys[name] = head.keys(rec, teacher.projectors, output);
    }
  });
  return keys;
}

function distilled(rec: Recording, stage: Stage1, { head, bank, options }: Part, output: Tensor, keys: Tensor) {
  const { projectors, predictors } = stage.networks.student;
  const queries = head.queries(rec, projectors, predictors, output);
  return distillationLoss(rec, queries, keys, bank, options, stage.scalars);
}

/** Backward, clipped SGD, teacher. */
function update(rec: Recording, stage: Stage1, loss: Tensor): Learned {
  const { networks, learning, substage, scalars } = stage;
  const { student, teacher, options } = networks;
  const { clip } = substage === '1a' ? options.stage1a : options.stage1b;
  const learned = learn(rec, loss, learning, clip);
  if (options.teacher.update === 'after') updateTeacher(rec, teacher, student, scalars);
  return learned;
}

function beforeTeacher(rec: Recording, { networks, scalars }: Stage1): void {
  const { student, teacher, options } = networks;
  if (options.teacher.update === 'before') updateTeacher(rec, teacher, student, scalars);
}

const deepest = (levels: readonly Tensor[]): Tensor => levels[levels.length - 1];
