import { patchMultiple } from '../../engine/nn/unet3d_config.ts';
import { product, roundUp, type Triple } from '../../engine/shape.ts';
import { targetGrid } from '../data/resample.ts';
import { count } from '../report/format.ts';
import type { TrainConfigInput } from './config.ts';
import { type Fingerprint, medians } from './fingerprint.ts';
import { topology } from './topology.ts';

/** What is decided already; triples are [z, y, x]. */
export interface PlanWishes {
  readonly patch?: Triple;
  readonly batch?: number;
  /** Feature channels of the first level. */
  readonly channels?: number;
  readonly levels?: number;
  /** Millimetres to resample to; null keeps every volume's own. */
  readonly spacing?: Triple | null;
  /** The adapter is a program on the CPU: smaller patch and network. */
  readonly software: boolean;
  /** Most voxels of a patch that is not wished for. */
  readonly voxels?: number;
}

export interface Plan {
  readonly config: TrainConfigInput & { readonly patch: [number, number, number]; readonly batch: number };
  /** One sentence a decision. */
  readonly reasons: readonly string[];
}

/** Voxels of a patch at most, without other wishes: what a step of seconds (software) or of milliseconds (GPU) can take. */
export const MOST_VOXELS = { software: 49_152, hardware: 1_003_520 };
const MOST_LEVELS = { software: 4, hardware: 6 };
const FIRST_CHANNELS = { software: 8, hardware: 16 };
const MOST_CHANNELS = 320;
const BATCH = 2;
/** Spacings that differ by less are taken as one. */
const SAME_SPACING = 0.05;

/**
 * Chooses spacing, patch and network from a fingerprint, in the spirit of nnU-Net's planner (Isensee et al. 2021): the patch
 * has the shape of the median volume, shrunk to the budget; the network pools as often as the patch allows.
 */
export function planRun(f: Fingerprint, wishes: PlanWishes): Plan {
  const kind = wishes.software ? 'software' : 'hardware';
  const { spacing, reason: spacingReason } = chooseSpacing(f, wishes);
  const mm = spacing ?? f.medianSpacing;
  const shape = medians(f.grids.map((grid) => targetGrid(grid, spacing).shape)).map(Math.round) as unknown as Triple;

  const budget = wishes.voxels ?? MOST_VOXELS[kind];
  const wanted = wishes.patch ?? shrink(shape, mm, budget);
  const most = wishes.levels ?? MOST_LEVELS[kind];
  const { kernels, strides } = topology(wanted, mm, most, wishes.patch !== undefined);
  const multiple = patchMultiple(strides);
  const patch = wishes.patch ?? roundPatch(wanted, multiple, shape, budget);
  const levels = kernels.length;
  const base = wishes.channels ?? FIRST_CHANNELS[kind];
  const channels = Array.from({ length: levels }, (_, level) =>
    Math.max(base, Math.min(MOST_CHANNELS, base * 2 ** level)),
  );
  const flat = kernels.filter((kernel) => kernel.includes(1)).length;
  const ct = f.channels.some(({ name }) => /^ct$/i.test(name.trim()));

  const reasons = [
    spacingReason,
    wishes.patch
      ? `patch ${list(patch)} as asked for`
      : `patch ${list(patch)}: the median volume of ${list(shape)} voxels within ${count(budget)} voxels, in multiples of ${list(multiple)}`,
    `${levels} ${levels === 1 ? 'level' : 'levels'} of ${channels.join('-')} channels${wishes.software ? ' (small, for a software adapter)' : ''}`,
    ...(wishes.levels && levels < wishes.levels
      ? [
          `${wishes.levels} levels were asked for, but a patch of ${list(patch)} can be halved only ${times(levels - 1)}`,
        ]
      : []),
    ...(flat > 0
      ? [
          `thick slices (${list(mm)} mm): flat kernels in the first ${flat === 1 ? 'level' : `${flat} levels`}, no pooling across slices there`,
        ]
      : []),
    ct ? 'a channel is called CT: Hounsfield window, then z-score' : 'images are z-scored volume by volume',
  ];
  const config = {
    patch: mutable(patch),
    batch: wishes.batch ?? BATCH,
    network: {
      channels,
      kernels: flat > 0 ? kernels.map(mutable) : null,
      strides: strides.every((stride) => !stride.includes(1)) ? null : strides.map(mutable),
    },
    preprocessing: { spacing: spacing && mutable(spacing), normalisation: ct ? ('ct' as const) : ('z-score' as const) },
  };
  return { config, reasons };
}

function chooseSpacing(f: Fingerprint, { spacing }: PlanWishes): { spacing: Triple | null; reason: string } {
  if (spacing) return { spacing, reason: `all cases are resampled to ${list(spacing)} mm as asked for` };
  if (spacing === null) return { spacing, reason: 'nothing is resampled, as asked for' };
  const mixed = f.largestSpacing.some((mm, a) => mm > f.smallestSpacing[a] * (1 + SAME_SPACING));
  if (!mixed) return { spacing: null, reason: 'all cases have nearly one spacing: nothing is resampled' };
  const median = f.medianSpacing.map((mm) => Number(mm.toPrecision(6))) as unknown as Triple;
  return {
    spacing: median,
    reason: `spacings differ between cases: all are resampled to the median, ${list(median)} mm`,
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

/** The largest patch in multiples along each axis, above or below the wanted one, within the budget and the volume. */
function roundPatch(wanted: Triple, multiple: Triple, shape: Triple, budget: number): Triple {
  const below = wanted.map((n, a) => Math.max(1, Math.floor(n / multiple[a])) * multiple[a]);
  let best = below;
  for (let above = 1; above < 8; above++) {
    const patch = below.map((n, a) => (above & (1 << a) ? n + multiple[a] : n));
    const inside = patch.every((n, a) => n === below[a] || n <= roundUp(shape[a], multiple[a]));
    if (inside && product(patch) <= budget && product(patch) > product(best)) best = patch;
  }
  return best as unknown as Triple;
}

function mutable([z, y, x]: readonly number[]): [number, number, number] {
  return [z, y, x];
}

function times(n: number): string {
  return n === 1 ? 'once' : `${n} times`;
}

function list(values: readonly number[]): string {
  return values.map((v) => Number(v.toFixed(2))).join(' x ');
}
