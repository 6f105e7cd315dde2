/** Ours and a peer in turns: each work is computed, compared, and only then timed. */
import { ActionError } from '../../../engine/errors.ts';
import { median } from '../statistics.ts';
import { agreement, type PeerAgreement, type Precision } from './agreement.ts';
import type { Results, Work } from './protocol.ts';

export interface RunTime {
  readonly wallMs: number;
  /** Of all threads of the process; on a software adapter that is where kernels compute. */
  readonly cpuMs: number;
}

export type Preparation =
  | {
      readonly kind: 'ready';
      readonly results: Results;
      readonly notes: readonly string[];
      readonly gpuBytes?: number;
      /** Of the adapter, while it was prepared; undefined where they are not counted. */
      readonly dispatches?: number;
    }
  | { readonly kind: 'unsupported' | 'failed'; readonly reason: string };

/** A system that computes, here or in another process. */
export interface Participant {
  /** With its version. */
  readonly name: string;
  readonly backend: string;
  readonly precision: Precision;
  prepare(work: Work): Promise<Preparation>;
  /** Of what was prepared last, `times` over. */
  run(times: number): Promise<RunTime>;
  release(): Promise<void>;
}

/** Medians of one computation. */
export interface SystemTiming extends RunTime {
  readonly samples: number;
  readonly gpuBytes: number | null;
}

/** A work in ours and in one peer. Times and ratios are null unless both are right. */
export interface PeerRow {
  readonly work: string;
  readonly flops: number;
  readonly peer: string;
  readonly backend: string;
  readonly outcome: 'timed' | 'wrong' | 'unsupported' | 'failed';
  /** Why not, or what stands for ops that the peer lacks. */
  readonly notes: readonly string[];
  readonly check: PeerAgreement | null;
  readonly dispatches: number | null;
  readonly ours: SystemTiming | null;
  readonly theirs: SystemTiming | null;
  /** Their time by ours. */
  readonly faster: { readonly wall: number; readonly cpu: number } | null;
}

export interface PeerEffort {
  /** Milliseconds of one sample at least, of as many computations as that takes. */
  readonly sampleMs: number;
  readonly samples: number;
  /** Fewer samples do, at least three, or one that alone takes so long, once a system has computed that long. */
  readonly budgetMs: number;
}

const FEWEST = 3;
const MOST_TIMES = 1000;

/** Rows of one work: ours beside each of the peers, whose names `watch` is told. Errors: what ours throws. */
export async function compareWork(
  ours: Participant,
  peers: readonly Participant[],
  work: Work,
  effort: PeerEffort,
  watch: (peer: string) => void = () => undefined,
): Promise<PeerRow[]> {
  const mine = await ours.prepare(work);
  if (mine.kind !== 'ready') throw new ActionError(`${ours.name} does not compute ${work.name}: ${mine.reason}`);
  const rows: PeerRow[] = [];
  for (const peer of peers) {
    watch(peer.name);
    rows.push(await comparePeer(ours, mine, peer, work, effort));
    await peer.release();
  }
  await ours.release();
  return rows;
}

type Ready = Extract<Preparation, { kind: 'ready' }>;

async function comparePeer(
  ours: Participant,
  mine: Ready,
  peer: Participant,
  work: Work,
  effort: PeerEffort,
): Promise<PeerRow> {
  const untimed = {
    ...{ work: work.name, flops: work.flops, peer: peer.name, backend: peer.backend },
    ...{ check: null, dispatches: null, ours: null, theirs: null, faster: null },
  };
  const found = await peer.prepare(work);
  if (found.kind !== 'ready') return { ...untimed, outcome: found.kind, notes: [found.reason] };
  const { notes, dispatches = null } = found;
  const checked = { ...untimed, notes, dispatches, check: agreement(mine.results, found.results, peer.precision) };
  const failed = (reason: string): PeerRow => ({ ...checked, outcome: 'failed', notes: [...notes, reason] });
  if (dispatches === 0) return failed('it did not use the adapter: no dispatch while it computed');
  if (!checked.check.ok) return { ...checked, outcome: 'wrong' };
  try {
    const [a, b] = await inTurns(ours, peer, effort);
    return {
      ...{ ...checked, outcome: 'timed' },
      ours: { ...a, gpuBytes: mine.gpuBytes ?? null },
      theirs: { ...b, gpuBytes: found.gpuBytes ?? null },
      faster: { wall: b.wallMs / a.wallMs, cpu: b.cpuMs / a.cpuMs },
    };
  } catch (failure) {
    return failed((failure as Error).message);
  }
}

type Timed = Omit<SystemTiming, 'gpuBytes'>;

/** One sample of each after the other, until there are enough of both. */
async function inTurns(ours: Participant, peer: Participant, effort: PeerEffort): Promise<[Timed, Timed]> {
  const times = [await timesFor(ours, effort), await timesFor(peer, effort)];
  const samples: RunTime[][] = [[], []];
  const spent = [0, 0];
  const enough = () => {
    const count = samples[0].length;
    const long = Math.max(...spent) > effort.budgetMs;
    return count >= effort.samples || (long && (count >= FEWEST || Math.max(...spent) / count > effort.budgetMs));
  };
  while (!enough()) {
    for (const [i, system] of [ours, peer].entries()) {
      const { wallMs, cpuMs } = await system.run(times[i]);
      spent[i] += wallMs;
      samples[i].push({ wallMs: wallMs / times[i], cpuMs: cpuMs / times[i] });
    }
  }
  const [a, b] = samples.map(
    (found): Timed => ({
      wallMs: median(found.map(({ wallMs }) => wallMs)),
      cpuMs: median(found.map(({ cpuMs }) => cpuMs)),
      samples: found.length,
    }),
  );
  return [a, b];
}

/** How many computations make a sample. What is short is run until that settles, which also warms the adapter up. */
async function timesFor(system: Participant, { sampleMs }: PeerEffort): Promise<number> {
  for (let times = 1; ; ) {
    const { wallMs } = await system.run(times);
    if (wallMs >= sampleMs || times >= MOST_TIMES) return times;
    times = Math.min(MOST_TIMES, Math.max(2 * times, Math.ceil((1.2 * times * sampleMs) / Math.max(wallMs, 0.01))));
  }
}
