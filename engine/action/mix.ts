import { classPresenceKernel } from '../../shaders/class_presence.wgsl.ts';
import { applyMixKernel, drawMixKernel, type Mixing, mixWords, planWords } from '../../shaders/mix.wgsl.ts';
import { ShapeError, UsageError } from '../errors.ts';
import type { Recording } from '../recording.ts';
import { ceilDiv, formatShape, product, type Triple } from '../shape.ts';
import { type Tensor, volumeShape } from '../tensor.ts';

export type { Mixing } from '../../shaders/mix.wgsl.ts';
export { mixWords } from '../../shaders/mix.wgsl.ts';

/** Unlabelled patches with what the teacher says of them; mixed together or not at all. */
export interface PseudoLabelled {
  /** [B, D, H, W, C] */
  readonly image: Tensor;
  /** Dense u32 [B, D, H, W]; 0xffffffff where there is none. */
  readonly labels: Tensor;
  /** Dense f32 [B, D, H, W]. */
  readonly confidence: Tensor;
}

/**
 * What a patch is mixed with: unlabelled patch i with the next, or with labelled patch i mod the labelled batch (mix_pairs.ts;
 * bidirectional copy-paste, Bai et al. 2023).
 */
export type Partner = 'unlabelled' | 'labelled';

export interface MixOptions {
  readonly mixing: Mixing;
  /**
   * The box of CutMix and Cutout: 'slab', in-plane (y, x) of half the area, x wider than half, 20 slices of z deep (paper);
   * 'cuboid', 0.4 to 0.8 of each extent.
   */
  readonly box: 'slab' | 'cuboid';
  /** ClassMix of an image with one class keeps it (true) or replaces all of it by the partner (false, paper). */
  readonly keepOneClass: boolean;
}

/** Slices of a slab. */
const SLICES = 20;

/** Errors: UsageError when samples would have to be mixed with themselves, or have partners that a mixing has no use for. */
export function checkMixing(mixing: Mixing, batch: number, partner: Partner = 'unlabelled'): void {
  if (partner === 'labelled') {
    if (mixing !== 'none' && mixing !== 'cutout') return;
    throw new UsageError(
      `stage2.mixing '${mixing}' takes nothing from another patch, but stage2.partner is 'labelled'; set stage2.mixing to 'classmix', 'cutmix' or 'both', or stage2.partner to 'unlabelled'`,
    );
  }
  if (batch >= 2 || mixing === 'none' || mixing === 'cutout') return;
  throw new UsageError(
    `stage2.mixing '${mixing}' mixes each unlabelled patch with the next, which takes a batch of 2 or more, but stage2.unlabelledBatch is ${batch}; set stage2.unlabelledBatch to 2, or stage2.mixing to 'cutout' or 'none', or stage2.partner to 'labelled'`,
  );
}

/**
 * ClassMix (Olsson et al. 2021), CutMix (Yun et al. 2019) or Cutout (DeVries and Taylor 2017) in 3D: draws a plan for
 * each sample and applies it. Partner of sample i is (i + 1) mod B. No gradient.
 *
 * @param words dense u32 [B, mixWords(classes)], uniform
 */
export function mix(
  rec: Recording,
  input: PseudoLabelled,
  classes: number,
  words: Tensor,
  options: MixOptions,
): PseudoLabelled {
  checkMixing(options.mixing, input.image.shape[0]);
  if (options.mixing === 'none') return input;
  const [, d, h, w] = volumeShape(input.image, 'mix');
  const present = classPresence(rec, input.labels, classes);
  return applyMix(rec, input, classes, drawMix(rec, present, classes, [d, h, w], words, options));
}

/** Which of `classes` classes occur in each sample: labels dense u32 [B, ...] -> bits, dense u32 [B, ceil(classes / 32)]. */
export function classPresence(rec: Recording, labels: Tensor, classes: number): Tensor {
  const [samples, ...rest] = labels.shape;
  const words = ceilDiv(classes, 32);
  let bits = labels;
  let left = product(rest);
  for (let first = true; first || left > 1; first = false) {
    const lanes = left <= 256 ? 1 : ceilDiv(left, 64);
    const y = rec.tensor([samples, lanes * words], 'class_presence', { dtype: 'u32', dense: true });
    const count = samples * lanes;
    rec.dispatch(classPresenceKernel(classes, first), { x: bits, y }, { count, rows: left, lanes }, count);
    bits = y;
    left = lanes;
  }
  return bits;
}

/**
 * What each sample keeps: dense u32 [B, 7 + ceil(classes / 32)], read by applyMix.
 *
 * @param present classes of the samples, as classPresence finds them
 * @param labelledPresent with it, odd samples i hold the classes of its row i mod rows
 */
export function drawMix(
  rec: Recording,
  present: Tensor,
  classes: number,
  [d, h, w]: Triple,
  words: Tensor,
  options: MixOptions,
  labelledPresent?: Tensor,
): Tensor {
  const samples = present.shape[0];
  if (product(words.shape) !== samples * mixWords(classes)) {
    throw new ShapeError(
      `mix: '${words.label}' ${formatShape(words.shape)} must hold ${mixWords(classes)} random words for each of ${samples} samples`,
    );
  }
  const plan = rec.tensor([samples, planWords(classes)], 'mix_plan', { dtype: 'u32', dense: true });
  const inputs: Record<string, Tensor> = { words, present, plan };
  const params: Record<string, number> = { samples, d, h, w, slices: SLICES };
  if (labelledPresent) {
    inputs.labelled_present = labelledPresent;
    params.labelled = labelledPresent.shape[0];
  }
  rec.dispatch(drawMixKernel({ ...options, classes, pairs: !!labelledPresent }), inputs, params, samples);
  return plan;
}

/** Image, labels and confidence by one plan. */
export function applyMix(rec: Recording, input: PseudoLabelled, classes: number, plan: Tensor): PseudoLabelled {
  const { image, labels, confidence } = input;
  const [samples, d, h, w] = volumeShape(image, 'mix');
  const mixed = { image: rec.like(image, 'mixed'), labels: rec.like(labels, 'mixed_labels') };
  const mixedConfidence = rec.like(confidence, 'mixed_confidence');
  const count = samples * d * h * w;
  rec.dispatch(
    applyMixKernel(classes),
    {
      ...{ plan, image, labels, confidence },
      ...{ image_out: mixed.image, labels_out: mixed.labels, confidence_out: mixedConfidence },
    },
    { count, voxels: d * h * w, h, w, pitch: image.pitch / 4 },
    count,
  );
  return { ...mixed, confidence: mixedConfidence };
}
