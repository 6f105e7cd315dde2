import { pcg4d } from '../../engine/random.ts';

/** Plain loops for engine/action/mix.ts, in the integers that the device draws with. */

/** floor(word n / 2^32). */
export const below = (word: number, n: number): number => Number((BigInt(word) * BigInt(n)) >> 32n);

/** The words that randomWords draws. */
export const words = (seed: number, step: number, stream: number, count: number): number[] =>
  Array.from({ length: count }, (_, i) => pcg4d(seed, step, stream, i >> 2)[i & 3]);

export interface MixPlan {
  kind: 'classmix' | 'cutmix' | 'cutout' | 'none';
  /** [start, end) along z, y, x. */
  box: [number, number][];
  keep: Set<number>;
}

export interface MixSettings {
  mixing: MixPlan['kind'] | 'both';
  box: 'slab' | 'cuboid';
  keepOneClass: boolean;
}

type Triple = readonly [number, number, number];

/** One sample's plan from its words: kind, three extents, three starts, one word a class. */
export function drawMix(w: number[], present: readonly number[], size: Triple, settings: MixSettings): MixPlan {
  const [d, h, width] = size;
  let extents: number[];
  if (settings.box === 'slab') {
    const widths = Array.from({ length: width }, (_, i) => i + 1).filter((n) => n > width / 2 && n < width);
    const x = widths.length > 0 ? widths[below(w[3], widths.length)] : width;
    extents = [Math.min(20, d), Math.min(h, Math.floor((h * width) / (2 * x) + 0.5)), x];
  } else {
    extents = size.map((n, axis) => Math.floor((2 * n + below(w[1 + axis], 2 * n)) / 5));
  }
  const box = extents.map((n, axis): [number, number] => {
    const start = below(w[4 + axis], size[axis] - n + 1);
    return [start, start + n];
  });
  let wanted = Math.floor(present.length / 2);
  if (settings.keepOneClass) wanted = Math.max(1, wanted);
  const keep = new Set<number>();
  present.forEach((c, i) => {
    if (below(w[7 + c], present.length - i) < wanted - keep.size) keep.add(c);
  });
  const kind = settings.mixing === 'both' ? (w[0] < 2 ** 31 ? 'classmix' : 'cutmix') : settings.mixing;
  return { kind, box, keep };
}

export interface Volumes {
  /** One array of voxels a sample and channel: image[sample][voxel * channels + channel]. */
  image: Float64Array[];
  labels: number[][];
  confidence: Float64Array[];
}

/** Mixes by plan; labels that are gone are 0xffffffff. */
export function applyMix(from: Volumes, plans: MixPlan[], [, h, w]: Triple, channels: number): Volumes {
  const to: Volumes = {
    image: from.image.map((v) => v.slice()),
    labels: from.labels.map((v) => v.slice()),
    confidence: from.confidence.map((v) => v.slice()),
  };
  plans.forEach(({ kind, box, keep }, i) => {
    const partner = (i + 1) % plans.length;
    from.labels[i].forEach((label, voxel) => {
      const at = [Math.floor(voxel / (h * w)), Math.floor(voxel / w) % h, voxel % w];
      const inBox = at.every((n, axis) => n >= box[axis][0] && n < box[axis][1]);
      if (kind === 'none' || (kind === 'classmix' ? keep.has(label) : !inBox)) return;
      const cut = kind === 'cutout';
      for (let c = 0; c < channels; c++) {
        to.image[i][voxel * channels + c] = cut ? 0 : from.image[partner][voxel * channels + c];
      }
      to.labels[i][voxel] = cut ? 0xffffffff : from.labels[partner][voxel];
      to.confidence[i][voxel] = cut ? 0 : from.confidence[partner][voxel];
    });
  });
  return to;
}
