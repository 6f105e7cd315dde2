import { mixPairsImageKernel, mixPairsLabelsKernel } from '../../shaders/mix_pairs.wgsl.ts';
import { ShapeError } from '../errors.ts';
import type { Recording } from '../recording.ts';
import { formatShape, sameShape } from '../shape.ts';
import { type Tensor, volumeShape } from '../tensor.ts';
import { checkMixing, classPresence, drawMix, type MixOptions, type PseudoLabelled } from './mix.ts';

/** Labelled patches that unlabelled ones are mixed with. */
export interface Partners {
  /** [L, D, H, W, C] */
  readonly image: Tensor;
  /** Dense u32 [L, D, H, W]; labels of C and above are ignored. */
  readonly labels: Tensor;
}

/** Patches of two sources with what is known of their voxels. */
export interface MixedPairs extends PseudoLabelled {
  /** Dense f32 [B, D, H, W]: 1 in what is labelled, else `unlabelledVoxels`, times the patch's share. */
  readonly weights: Tensor;
}

export interface PairWeights {
  /** Weight of unlabelled voxels against labelled ones, 0 or more. */
  readonly unlabelledVoxels: number;
  /** Dense f32 [B]: a factor for the unlabelled voxels of each patch. */
  readonly share?: Tensor;
}

/**
 * Bidirectional copy-paste (Bai et al., CVPR 2023) in 3D, with the regions of ClassMix or CutMix: unlabelled patch i and
 * labelled patch i mod L give mixed patch i. Even i: the unlabelled patch, with the box, or with all but the classes it keeps,
 * from the labelled one; odd i: the labelled patch, with as much from the unlabelled one. So one unlabelled patch is mixed in
 * the first direction only, and of the labelled patches the first B are used. Labelled voxels have confidence 1. No gradient.
 *
 * @param input B unlabelled patches
 * @param words dense u32 [B, mixWords(classes)], uniform
 */
export function mixPairs(
  rec: Recording,
  input: PseudoLabelled,
  partners: Partners,
  classes: number,
  words: Tensor,
  options: MixOptions,
  { unlabelledVoxels, share }: PairWeights,
): MixedPairs {
  const { image, labels, confidence } = input;
  const [samples, d, h, w] = volumeShape(image, 'mixPairs');
  checkMixing(options.mixing, samples, 'labelled');
  if (!sameShape(image.shape.slice(1), partners.image.shape.slice(1))) {
    throw new ShapeError(
      `mixPairs: '${image.label}' ${formatShape(image.shape)} and '${partners.image.label}' ${formatShape(partners.image.shape)} must agree in all axes but the first`,
    );
  }
  const present = classPresence(rec, labels, classes);
  const labelledPresent = classPresence(rec, partners.labels, classes);
  const plan = drawMix(rec, present, classes, [d, h, w], words, options, labelledPresent);

  const mixed = {
    image: rec.like(image, 'mixed'),
    labels: rec.like(labels, 'mixed_labels'),
    confidence: rec.like(confidence, 'mixed_confidence'),
    weights: rec.like(confidence, 'mixed_weights'),
  };
  const both = { plan, labels, labelled_labels: partners.labels };
  const count = samples * d * h * w;
  const params = { count, voxels: d * h * w, h, w, labelled: partners.image.shape[0] };
  rec.dispatch(
    mixPairsImageKernel(classes),
    { ...both, image, labelled_image: partners.image, image_out: mixed.image },
    { ...params, pitch: image.pitch / 4 },
    count,
  );
  rec.dispatch(
    mixPairsLabelsKernel(classes, !!share),
    {
      ...{ ...both, confidence, ...(share && { share }) },
      ...{ labels_out: mixed.labels, confidence_out: mixed.confidence, weights_out: mixed.weights },
    },
    { ...params, factor: unlabelledVoxels },
    count,
  );
  return mixed;
}
