import type { Parameters } from '../nn/parameters.ts';
import type { Unet3d, UnetMode } from '../nn/unet3d.ts';
import { concatBatch } from '../ops/concat_batch.ts';
import { sliceBatch } from '../ops/slice.ts';
import type { Recording } from '../recording.ts';
import type { Tensor } from '../tensor.ts';

/** A step's patches; all changes of intensity are done already. */
export interface BaselineBatch {
  /** [labelled, D, H, W, C] */
  readonly labelled: Tensor;
  /** Dense u32 [labelled, D, H, W]; labels of C and above are ignored. */
  readonly labels: Tensor;
  /** [unlabelled, D, H, W, C] as students see them. */
  readonly strong: Tensor;
}

/** With the unlabelled patches as the teacher sees them, of the same geometry as `strong`. */
export interface TeacherBatch extends BaselineBatch {
  readonly weak: Tensor;
}

/** Logits of the labelled and of the unlabelled patches from one pass over all of them. */
export function jointPass(
  rec: Recording,
  unet: Unet3d,
  network: Parameters,
  { labelled, strong }: BaselineBatch,
  mode: UnetMode,
): { labelled: Tensor; unlabelled: Tensor } {
  const { logits } = unet.forward(rec, network, concatBatch(rec, [labelled, strong]), mode);
  const [first, all] = [labelled.shape[0], logits.shape[0]];
  return { labelled: sliceBatch(rec, logits, 0, first), unlabelled: sliceBatch(rec, logits, first, all) };
}

/** The mode of another pass of the same step: its dropout draws from a stream `n` further on. */
export function laterPass(mode: UnetMode, n: number): UnetMode {
  const { dropout } = mode;
  return dropout ? { ...mode, dropout: { ...dropout, stream: dropout.stream + n } } : mode;
}
