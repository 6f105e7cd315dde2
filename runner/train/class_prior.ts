import type { Prepared } from '../data/preprocess.ts';

/**
 * Log of each class's share of the labelled voxels, background included: as biases of the output layer they make an untrained
 * network predict these shares, so that the first steps go into telling the classes apart rather than into how rare they
 * are (Lin et al., Focal loss, 2017, section 3.3). A class without a voxel counts as one;
 * voxels of no class are left out.
 */
export function logClassShares(labelled: readonly Pick<Prepared, 'label'>[], classes: number): number[] {
  const counts = new Array<number>(classes).fill(0);
  for (const { label } of labelled) for (const value of label!) if (value < classes) counts[value]++;
  const voxels = counts.map((count) => Math.max(1, count));
  const total = voxels.reduce((sum, count) => sum + count, 0);
  return voxels.map((count) => Math.log(count / total));
}
