import type { Recording } from '../recording.ts';
import type { Tensor } from '../tensor.ts';
import { mix, type PseudoLabelled } from './mix.ts';
import { mixPairs } from './mix_pairs.ts';
import { confidentShare } from './pseudo.ts';
import type { Stage2Batch, Stage2Views } from './stage2.ts';
import type { Stage2 } from './stage2_parts.ts';

/** Mixed patches in the student's view, with what L_unsup needs to know of them. */
export interface StudentBatch extends PseudoLabelled {
  /** Dense f32, one a sample or a voxel; absent: 1. */
  readonly weights?: Tensor;
  /** Mean share of confident voxels, [1], for the log; absent without L_unsup. */
  readonly confident?: Tensor;
}

/**
 * What the student sees of the unlabelled patches: mixed with each other and then changed, or changed and then mixed with the
 * labelled patches (stage2.partner).
 *
 * @param words dense u32 [unlabelled, mixWords(classes)]
 */
export function studentBatch(
  rec: Recording,
  { unet, options }: Stage2,
  batch: Stage2Batch,
  pseudo: PseudoLabelled,
  words: Tensor,
  views: Stage2Views,
): StudentBatch {
  const { stage2 } = options;
  const { classes } = unet.settings;
  const viewed = (image: Tensor) => (views.student ? views.student(rec, image) : image);
  const share = (of: PseudoLabelled): { weights?: Tensor; confident?: Tensor } => {
    if (stage2.unsupWeight === 0) return {};
    const { weights, mean } = confidentShare(rec, of, classes, stage2.strongConfidence);
    return { ...(stage2.imageWeight === 'confident' && { weights }), confident: mean };
  };
  if (stage2.partner === 'unlabelled') {
    const mixed = mix(rec, pseudo, classes, words, stage2);
    return { ...mixed, image: viewed(mixed.image), ...share(mixed) };
  }
  const { weights, confident } = share(pseudo);
  const changed = { ...pseudo, image: viewed(pseudo.image) };
  const partners = { image: batch.labelled, labels: batch.labels };
  const { unlabelledVoxels } = stage2;
  const pairs = mixPairs(rec, changed, partners, classes, words, stage2, { unlabelledVoxels, share: weights });
  return { ...pairs, confident };
}
