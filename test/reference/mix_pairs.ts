import type { MixPlan, Volumes } from './mix.ts';

/** Unlabelled patches after mixing, voxels in the order of memory. */
export interface MixedPairs extends Volumes {
  weights: number[][];
}

/** What is kept of the patch that a plan belongs to. */
function kept({ kind, box, keep }: MixPlan, label: number, voxel: number, [, h, w]: readonly [number, number, number]) {
  if (kind === 'classmix') return keep.has(label);
  const at = [Math.floor(voxel / (h * w)), Math.floor(voxel / w) % h, voxel % w];
  return !at.every((n, axis) => n >= box[axis][0] && n < box[axis][1]);
}

/**
 * Plain loops for engine/action/mix_pairs.ts. Patch i of `from` and patch i mod `labelled`: in even i the first is kept and the
 * second put in, in odd i the other way round.
 */
export function mixPairs(
  from: Volumes,
  labelled: Pick<Volumes, 'image' | 'labels'>,
  plans: MixPlan[],
  size: readonly [number, number, number],
  channels: number,
  voxelWeight: (sample: number) => number,
): MixedPairs {
  const to: MixedPairs = { image: [], labels: [], confidence: [], weights: [] };
  plans.forEach((plan, i) => {
    const partner = i % labelled.labels.length;
    const image = new Float64Array(from.image[i].length);
    const confidence = new Float64Array(from.confidence[i].length);
    const labels: number[] = [];
    const weights: number[] = [];
    for (let voxel = 0; voxel < confidence.length; voxel++) {
      const base = i % 2 === 0 ? from.labels[i] : labelled.labels[partner];
      const stays = kept(plan, base[voxel], voxel, size);
      const unlabelled = i % 2 === 0 ? stays : !stays;
      const source = unlabelled ? from.image[i] : labelled.image[partner];
      for (let c = 0; c < channels; c++) image[voxel * channels + c] = source[voxel * channels + c];
      labels.push(unlabelled ? from.labels[i][voxel] : labelled.labels[partner][voxel]);
      confidence[voxel] = unlabelled ? from.confidence[i][voxel] : 1;
      weights.push(unlabelled ? voxelWeight(i) : 1);
    }
    to.image.push(image);
    to.labels.push(labels);
    to.confidence.push(confidence);
    to.weights.push(weights);
  });
  return to;
}
