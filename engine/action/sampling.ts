import { countLeavesKernel, countNodesKernel, FAN } from '../../shaders/count_tree.wgsl.ts';
import { drawClassesKernel, sampleVoxelsKernel } from '../../shaders/sample_voxels.wgsl.ts';
import { voxelCodesKernel } from '../../shaders/voxel_codes.wgsl.ts';
import { checkLabels } from '../ops/cross_entropy.ts';
import type { Recording } from '../recording.ts';
import { ceilDiv, product } from '../shape.ts';
import { channels, rows, type Tensor } from '../tensor.ts';

/** One student pass as the samplers see it; all without gradient. */
export interface LabelledPass {
  /** [B, D, H, W, C] */
  readonly logits: Tensor;
  /** Dense u32 [B, D, H, W]; labels of C and above take no part. */
  readonly labels: Tensor;
  /** Dense f32 [B, D, H, W]; absent for ground truth, which is certain. */
  readonly confidence?: Tensor;
}

/** Voxels with a confidence below `weak` take no part; those the student gives its label less than `strong` are hard. */
export interface SamplingThresholds {
  readonly weak: number;
  readonly strong: number;
}

/**
 * What to draw voxels from: all voxels of some passes in memory order, and how many are valid and hard in each class, in
 * runs of 64, 64^2 and 64^3 voxels and in all. Replaces a prefix sum over every voxel (method.md 9.1.4) at a 64th of its memory.
 */
export interface VoxelIndex {
  readonly classes: number;
  /** Dense u32 [voxels]: 2 class + hard, or 0xffffffff. */
  readonly codes: Tensor;
  /** Dense u32 [nodes, 2 classes]: valid (2c) and hard (2c + 1) voxels. */
  readonly levels: readonly [Tensor, Tensor, Tensor];
  /** Dense u32 [1, 2 classes]. */
  readonly totals: Tensor;
}

/** Codes of the voxels of all passes, one pass after the other: dense u32 [sum of B D H W]. */
export function voxelCodes(rec: Recording, passes: readonly LabelledPass[], thresholds: SamplingThresholds): Tensor {
  const total = passes.reduce((sum, { labels }) => sum + product(labels.shape), 0);
  const codes = rec.tensor([total], 'voxel_codes', { dtype: 'u32', dense: true });
  let base = 0;
  for (const { logits, labels, confidence } of passes) {
    checkLabels('voxelCodes', logits, labels);
    const count = rows(logits);
    rec.dispatch(
      voxelCodesKernel(channels(logits), confidence !== undefined),
      { logits, labels, codes, ...(confidence && { confidence }) },
      { rows: count, base, ...thresholds },
      count,
    );
    base += count;
  }
  return codes;
}

/** Counts valid and hard voxels of each class, level by level. */
export function indexVoxels(rec: Recording, codes: Tensor, classes: number): VoxelIndex {
  const columns = 2 * classes;
  const counts = (nodes: number) => rec.tensor([nodes, columns], 'voxel_counts', { dtype: 'u32', dense: true });
  const voxels = channels(codes);
  const leaves = counts(ceilDiv(voxels, FAN));
  rec.dispatch(countLeavesKernel(classes), { codes, y: leaves }, { count: leaves.shape[0], voxels }, leaves.shape[0]);
  const above = (x: Tensor, fan: number): Tensor => {
    const y = counts(ceilDiv(x.shape[0], fan));
    const count = y.shape[0] * columns;
    rec.dispatch(countNodesKernel(), { x, y }, { count, children: x.shape[0], fan, columns }, count);
    return y;
  };
  const middle = above(leaves, FAN);
  const top = above(middle, FAN);
  return { classes, codes, levels: [leaves, middle, top], totals: above(top, top.shape[0]) };
}

/** Random words of which draw i takes word i * stride + at. */
export interface Words {
  /** Dense u32. */
  readonly words: Tensor;
  readonly stride?: number;
  readonly at?: number;
}

/**
 * `draws` voxels, uniform with replacement among the valid or the hard ones of a class: class i / perClass of draw i, or
 * `chosen`, dense u32 [draws]. Dense u32 [draws], 0xffffffff where there is none to draw.
 */
export function sampleVoxels(
  rec: Recording,
  { classes, codes, levels }: VoxelIndex,
  which: 'valid' | 'hard',
  draws: number,
  from: { perClass: number } | { chosen: Tensor },
  { words, stride = 1, at = 0 }: Words,
): Tensor {
  const y = rec.tensor([draws], 'sampled_voxels', { dtype: 'u32', dense: true });
  const inputs: Record<string, Tensor> = 'chosen' in from ? { chosen: from.chosen } : {};
  const [level1, level2, level3] = levels;
  rec.dispatch(
    sampleVoxelsKernel(classes, which === 'hard', 'chosen' in from),
    { codes, level1, level2, level3, words, y, ...inputs },
    {
      ...{ draws, stride, at, per_class: 'chosen' in from ? 1 : from.perClass, voxels: channels(codes) },
      ...{ nodes1: level1.shape[0], nodes2: level2.shape[0], nodes3: level3.shape[0] },
    },
    draws,
  );
  return y;
}

/**
 * `draws` classes by inverse CDF: draw i uses row i / perRow of `cdf`, dense f32 [rows, classes] of cumulative shares, and
 * words 2i and 2i + 1. Dense u32 [draws]; with `pool` the row class * pool + a random number below pool instead.
 */
export function drawClasses(
  rec: Recording,
  cdf: Tensor,
  draws: number,
  perRow: number,
  words: Tensor,
  pool?: number,
): Tensor {
  const y = rec.tensor([draws], 'drawn_classes', { dtype: 'u32', dense: true });
  const kernel = drawClassesKernel(channels(cdf), pool !== undefined);
  rec.dispatch(kernel, { cdf, words, y }, { draws, per_row: perRow, pool: pool ?? 0 }, draws);
  return y;
}
