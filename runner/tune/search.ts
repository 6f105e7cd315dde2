/** The fastest way for one problem, by successive halving: ways are timed once, the better ones again and again. */
import type { Device } from '../../engine/device.ts';
import { DeviceLostError, FitError } from '../../engine/errors.ts';
import { Recording } from '../../engine/recording.ts';
import type { Way } from '../../engine/ways.ts';
import type { Clock } from '../bench/clock.ts';
import { median } from '../bench/statistics.ts';
import { createFamilies, type Experience } from './experience.ts';
import { compareResults, createTrial, type Trial } from './trial.ts';
import type { Tunable } from './tunables.ts';

export interface SearchOptions {
  readonly device: Device;
  readonly clock: Clock;
  /** Milliseconds that the runs of one sample should take together. */
  readonly sampleMs: number;
  /** Samples that the last ones are judged by. */
  readonly samples: number;
  /** Share of the usual way's time by which a way must be faster, so that noise is not taken for a gain. */
  readonly margin: number;
  readonly experience: Experience;
  readonly signal?: AbortSignal;
}

export interface WrongWay {
  readonly way: string;
  readonly why: string;
}

export interface Timed {
  readonly way: string;
  readonly ms: number;
}

export interface Found {
  readonly usual: Timed;
  /** The usual way where nothing beats it. */
  readonly best: Timed;
  /** Ways that were timed, and those that serve the problem. */
  readonly tried: number;
  readonly serving: number;
  readonly wrong: readonly WrongWay[];
}

/**
 * A way is dropped at once where it takes so many times the best one's time; as are the others of its family where two of them
 * do, and ways that did for problems like this one.
 */
const HOPELESS = 3;
/** How many ways are timed again, and then to the end, beside the usual one. */
const POOL = 6;
const FINALISTS = 3;
const POOL_SAMPLES = 3;
/** Share of the last samples, taken in turn with the usual way's, in which a way must be the faster one. */
const MOST_OF_THEM = 0.75;
const MOST_RUNS = 1000;
const MOST_COMMANDS = 20_000;

interface Entrant {
  readonly trial: Trial;
  readonly runs: number;
  readonly times: number[];
}

/** Undefined where it was stopped. `output` is what the ways write on the problem's tensors. */
export async function searchWays(
  options: SearchOptions,
  tunable: Tunable,
  problem: unknown,
): Promise<Found | undefined> {
  const { device, signal } = options;
  const { choice } = tunable;
  const [first, ...rest] = candidates(device, tunable, problem);
  const output = tunable.output(problem);
  const sums = { terms: tunable.terms(problem), rounds: tunable.rounds(problem) };
  const wrong: WrongWay[] = [];
  const families = createFamilies();
  const reference = await createTrial(device, first, problem, output);
  const expected = await reference.result();
  const usual = await enter(options, reference);
  let pool = [usual];
  let tried = 1;
  families.add(first, fastest(usual));
  try {
    const known = options.experience.of(tunable, problem);
    const promising = rest.filter(({ name }) => !((known(name) ?? 0) > HOPELESS));
    await compileAhead(device, promising, problem);
    for (const way of rest) {
      if (signal?.aborted) return undefined;
      const limit = Math.min(...pool.map(fastest));
      const hopeless = promising.includes(way) ? families.hopeless(way, limit, HOPELESS) : (known(way.name) as number);
      if (hopeless) {
        families.add(way, hopeless * limit);
        continue;
      }
      const entrant = await attempt(way, expected, limit);
      if (entrant) pool = trimmed([...pool, entrant], POOL);
    }
    const best = Math.min(...pool.map(fastest));
    options.experience.learn(tunable, problem, families.ratios(best));
    await sampleInTurn(POOL_SAMPLES);
    pool = trimmed(pool, FINALISTS);
    await sampleInTurn(options.samples - POOL_SAMPLES);
    if (signal?.aborted) return undefined;
    return { ...verdict(pool, usual, options.margin), tried, serving: rest.length + 1, wrong };
  } finally {
    for (const { trial } of pool) trial.destroy();
  }

  /** Undefined for a way that is wrong, has no room or is far too slow. */
  async function attempt(way: Way<unknown>, expected: Float32Array, limit: number): Promise<Entrant | undefined> {
    let trial: Trial | undefined;
    let kept = false;
    try {
      trial = await createTrial(device, way, problem, output);
      const { error, tolerance } = compareResults(output, await trial.result(), expected, sums);
      if (error > tolerance) {
        const why = `${choice.op} ${first.name} and it differ by ${error.toExponential(1)} where ${tolerance.toExponential(1)} is allowed`;
        wrong.push({ way: way.name, why });
        return undefined;
      }
      tried++;
      const entrant = await enter(options, trial, limit);
      families.add(way, fastest(entrant));
      kept = fastest(entrant) <= HOPELESS * limit;
      return kept ? entrant : undefined;
    } catch (failure) {
      if (failure instanceof DeviceLostError) throw failure;
      if (!(failure instanceof FitError)) wrong.push({ way: way.name, why: String((failure as Error).message) });
      return undefined;
    } finally {
      if (!kept) trial?.destroy();
    }
  }

  async function sampleInTurn(rounds: number): Promise<void> {
    for (let round = 0; round < rounds && !signal?.aborted; round++) {
      for (const { trial, runs, times } of pool) times.push((await trial.time(options.clock, runs)).ms);
    }
  }

  /** The usual way and the fastest others; frees the rest. */
  function trimmed(entrants: readonly Entrant[], most: number): Entrant[] {
    const others = entrants.filter((entrant) => entrant !== usual).sort((a, b) => typical(a) - typical(b));
    for (const { trial } of others.slice(most)) trial.destroy();
    return [usual, ...others.slice(0, most)];
  }
}

const typical = ({ times }: Entrant): number => median(times);
const fastest = ({ times }: Entrant): number => Math.min(...times);

/** The first sample of a way that has run: of as many runs as `sampleMs` wants, or of one where that tells that it is hopeless. */
async function enter({ clock, sampleMs }: SearchOptions, trial: Trial, limit = Infinity): Promise<Entrant> {
  const alone = await trial.time(clock, 1);
  if (alone.ms > HOPELESS * limit && alone.ms > sampleMs) return { trial, runs: 1, times: [alone.ms] };
  const most = Math.max(1, Math.min(MOST_RUNS, Math.floor(MOST_COMMANDS / trial.commands)));
  const runs = Math.min(most, Math.max(1, Math.ceil(sampleMs / alone.wallMs)));
  return { trial, runs, times: [runs === 1 ? alone.ms : (await trial.time(clock, runs)).ms] };
}

/**
 * The usual way, the others that are usual somewhere, then the rest: the earlier a good one comes, the sooner bad ones go. Where
 * the usual one fuses norms, none that does not: another convolution a little faster would cost a step more than it saves.
 */
export function candidates(device: Device, { choice }: Tunable, problem: unknown): Way<unknown>[] {
  const order = new Set([...choice.usual(device, problem), ...choice.ways]);
  const serving = [...order].filter((way) => way.serves(device, problem));
  return serving[0].fuses ? serving.filter(({ fuses }) => fuses) : serving;
}

/** Drivers of GPUs compile on several threads; on software adapters that would only be in the way. */
async function compileAhead(device: Device, ways: readonly Way<unknown>[], problem: unknown): Promise<void> {
  if (device.software) return;
  await Promise.all(ways.map((way) => createKernels(device, way, problem).catch(() => undefined)));
}

async function createKernels(device: Device, way: Way<unknown>, problem: unknown): Promise<void> {
  const rec = new Recording(device, way.name);
  way.record(rec, problem);
  rec.batches.settle();
  const kernels = new Set(rec.commands.flatMap((command) => (command.kind === 'dispatch' ? [command.kernel] : [])));
  await Promise.all([...kernels].map((kernel) => device.pipeline(kernel)));
}

function verdict(pool: readonly Entrant[], usual: Entrant, margin: number): Pick<Found, 'usual' | 'best'> {
  // The first samples were not taken in turn.
  const inTurn = ({ times }: Entrant) => times.slice(1);
  const timed = (entrant: Entrant) => ({ way: entrant.trial.way.name, ms: median(inTurn(entrant)) });
  const reference = timed(usual);
  const winners = pool
    .filter((entrant) => {
      const wins = inTurn(entrant).filter((ms, i) => ms < inTurn(usual)[i]).length;
      return timed(entrant).ms < (1 - margin) * reference.ms && wins >= MOST_OF_THEM * inTurn(entrant).length;
    })
    .map(timed)
    .sort((a, b) => a.ms - b.ms);
  return { usual: reference, best: winners[0] ?? reference };
}
