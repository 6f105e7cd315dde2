import { type Dense, rowsOf } from './dense.ts';
import { below } from './mix.ts';

/** Plain loops for engine/action/sampling.ts. */

export const NOTHING = 0xffffffff;

export interface Pass {
  logits: Dense;
  labels: ArrayLike<number>;
  confidence?: ArrayLike<number>;
}

/** 2 label + hard of each valid voxel, else NOTHING. */
export function voxelCodes(passes: Pass[], { weak, strong }: { weak: number; strong: number }): number[] {
  return passes.flatMap(({ logits, labels, confidence }) => {
    const [count, classes] = rowsOf(logits);
    return Array.from({ length: count }, (_, i) => {
      const label = labels[i];
      if (label < 0 || label >= classes || (confidence && confidence[i] < weak)) return NOTHING;
      const exps = Array.from({ length: classes }, (_, c) =>
        Math.exp(logits.data[i * classes + c] - logits.data[i * classes + label]),
      );
      return 2 * label + Number(1 / exps.reduce((a, b) => a + b, 0) < strong);
    });
  });
}

/** The voxels of a class in memory order. */
export function members(codes: ArrayLike<number>, label: number, which: 'valid' | 'hard'): number[] {
  const found: number[] = [];
  for (let i = 0; i < codes.length; i++) {
    if (which === 'hard' ? codes[i] === 2 * label + 1 : Math.floor(codes[i] / 2) === label) found.push(i);
  }
  return found;
}

/** Member floor(word n / 2^32) of each draw's class. */
export function sampleVoxels(
  codes: ArrayLike<number>,
  which: 'valid' | 'hard',
  labels: readonly number[],
  words: readonly number[],
): number[] {
  const byClass = new Map<number, number[]>();
  return labels.map((label, i) => {
    if (!byClass.has(label)) byClass.set(label, members(codes, label, which));
    const found = byClass.get(label)!;
    return found.length > 0 ? found[below(words[i], found.length)] : NOTHING;
  });
}

/** The first class whose cumulative share exceeds the word's upper 24 bits / 2^24; NOTHING when all shares are 0. */
export function drawClass(cdf: readonly number[], word: number): number {
  if (cdf[cdf.length - 1] === 0) return NOTHING;
  return cdf.findIndex((upto) => (word >>> 8) / 2 ** 24 < upto);
}
