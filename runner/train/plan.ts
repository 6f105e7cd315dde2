import type { Triple } from '../../engine/shape.ts';
import type { TrainConfigInput } from './config.ts';
import type { Fingerprint } from './fingerprint.ts';

export interface PlanWishes {
  patch?: Triple;
  /** Feature channels of the first level. */
  channels?: number;
  levels?: number;
  /** The adapter is a program on the CPU: smaller patch and network. */
  software: boolean;
}

export interface Plan {
  readonly config: TrainConfigInput;
  /** One sentence a decision. */
  readonly reasons: readonly string[];
}

/** Voxels of a patch at most, without other wishes: what a step of seconds (software) or of milliseconds (GPU) can take. */
const MOST_VOXELS = { software: 49_152, hardware: 1_003_520 };
/** An axis is thick-sliced when its spacing is this many times the finest one (nnU-Net's rule for kernels and pooling). */
const ANISOTROPY = 2;
/** Spacings that differ by less are taken as one. */
const SAME_SPACING = 0.05;
const SMALLEST_EXTENT = 4;

/**
 * Chooses spacing, patch and network from a fingerprint, in the spirit of nnU-Net's planner (Isensee et al. 2021): the patch
 * has the shape of the median volume, shrunk to the budget; axes are pooled while they stay above 4 voxels, and thick-sliced
 * axes get flat kernels and no pooling until the others have caught up.
 */
export function planRun(f: Fingerprint, wishes: PlanWishes): Plan {
  const reasons: string[] = [];
  const mixed = [0, 1, 2].some((a) => f.largestSpacing[a] > f.smallestSpacing[a] * (1 + SAME_SPACING));
  const spacing = mixed ? (f.medianSpacing.map((mm) => Number(mm.toPrecision(6))) as unknown as Triple) : null;
  reasons.push(
    mixed
      ? `spacings differ between cases: all are resampled to the median, ${list(f.medianSpacing)} mm`
      : `all cases have nearly one spacing: nothing is resampled`,
  );
  const shape = f.medianShape.map((n, a) =>
    mixed ? Math.max(1, Math.round(n)) : Math.max(1, Math.min(n, f.largestShape[a])),
  ) as unknown as Triple;

  const budget = wishes.software ? MOST_VOXELS.software : MOST_VOXELS.hardware;
  const wanted = wishes.patch ?? shrink(shape, f.medianSpacing, budget);
  const levels = wishes.levels ?? Math.min(wishes.software ? 4 : 6, 1 + poolings(wanted, f.medianSpacing));
  const { kernels, strides } = topology(wanted, f.medianSpacing, levels);
  const factor = [0, 1, 2].map((a) => strides.reduce((product, stride) => product * stride[a], 1));
  const patch =
    wishes.patch ??
    (wanted.map((n, a) => Math.max(factor[a], Math.floor(n / factor[a]) * factor[a])) as unknown as Triple);
  const base = wishes.channels ?? (wishes.software ? 8 : 16);
  const channels = Array.from({ length: levels }, (_, level) => Math.min(320, base * 2 ** level));

  reasons.push(
    wishes.patch
      ? `patch ${list(patch)} as asked for`
      : `patch ${list(patch)}: the median volume ${list(shape)} within ${budget} voxels, in multiples of ${list(factor)}`,
  );
  reasons.push(
    `${levels} levels of ${channels.join('-')} channels${wishes.software ? ' (small, for a software adapter)' : ''}`,
  );
  const flat = kernels.filter((k) => k.includes(1)).length;
  if (flat > 0)
    reasons.push(`thick slices (${list(f.medianSpacing)} mm): the first ${flat} levels have flat kernels and pooling`);
  const ct = f.channels.some(({ name }) => /^ct$/i.test(name.trim()));
  reasons.push(ct ? 'a channel is called CT: Hounsfield window, then z-score' : 'images are z-scored volume by volume');

  return {
    config: {
      patch: [...patch],
      network: {
        channels,
        kernels: flat > 0 ? kernels.map((k): [number, number, number] => [...k]) : null,
        strides: strides.every((s) => s.every((n) => n === 2))
          ? null
          : strides.map((s): [number, number, number] => [...s]),
      },
      preprocessing: { spacing: spacing ? [...spacing] : null, normalisation: ct ? 'ct' : 'z-score' },
    },
    reasons,
  };
}

/** The volume's shape, its longest axes (in millimetres) shortened until it holds at most `budget` voxels. */
function shrink(shape: Triple, spacing: Triple, budget: number): Triple {
  const patch = [...shape];
  while (patch[0] * patch[1] * patch[2] > budget) {
    const longest = [0, 1, 2].reduce((best, a) => (patch[a] * spacing[a] > patch[best] * spacing[best] ? a : best), 0);
    const axis = patch[longest] > 8 ? longest : patch.indexOf(Math.max(...patch));
    patch[axis] -= Math.max(1, Math.round(patch[axis] * 0.02));
  }
  return patch as unknown as Triple;
}

/** How often the most pooled axis can be halved. */
function poolings(patch: Triple, spacing: Triple): number {
  return topology(patch, spacing, Infinity).strides.length;
}

/** Kernel of each level and pooling between levels. */
function topology(patch: Triple, spacing: Triple, levels: number): { kernels: Triple[]; strides: Triple[] } {
  const size = [...patch];
  const mm = [...spacing];
  const kernels: Triple[] = [];
  const strides: Triple[] = [];
  for (;;) {
    const finest = Math.min(...mm);
    kernels.push(mm.map((s) => (s > finest * ANISOTROPY ? 1 : 3)) as unknown as Triple);
    if (kernels.length >= levels) return { kernels, strides };
    const pooled = mm.map((s, a) => size[a] / 2 >= SMALLEST_EXTENT && s <= finest * ANISOTROPY);
    if (!pooled.some(Boolean) || (!Number.isFinite(levels) && kernels.length > 8)) return { kernels, strides };
    strides.push(pooled.map((yes) => (yes ? 2 : 1)) as unknown as Triple);
    pooled.forEach((yes, a) => {
      if (!yes) return;
      size[a] = Math.floor(size[a] / 2);
      mm[a] *= 2;
    });
  }
}

function list(values: readonly number[]): string {
  return values.map((v) => Number(v.toFixed(2))).join(' x ');
}
