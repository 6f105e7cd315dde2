/** Tuning: the ways of every problem of a network, checked against each other and timed, the fastest remembered. */
import { Device } from '../../engine/device.ts';
import { dryGpu } from '../../engine/dry_gpu.ts';
import { product } from '../../engine/shape.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { Clock } from '../bench/clock.ts';
import { noise } from '../bench/samples.ts';
import type { TunedAdapter } from './adapter.ts';
import type { Collected } from './collect.ts';
import { createExperience, type Experience } from './experience.ts';
import { type ProblemData, problemOf } from './problem_data.ts';
import type { TuningRecord } from './records.ts';
import { type Found, searchWays, type WrongWay } from './search.ts';
import { shaderHash } from './shader_hash.ts';
import { TUNABLES, type Tunable } from './tunables.ts';
import { type Tuning, waysHash } from './tuning.ts';

/** One distinct problem. Milliseconds are of one convolution. */
export interface TuneRow {
  readonly op: string;
  readonly key: string;
  /** The problem that was timed, for people. */
  readonly shape: string;
  /** How often problems of this key were met. */
  readonly uses: number;
  readonly usual: { readonly way: string; readonly ms: number };
  readonly best: { readonly way: string; readonly ms: number };
  /** Ways timed, and those that could compute the problem; null where an earlier result was kept. */
  readonly tried: number | null;
  readonly serving: number | null;
  readonly wrong: readonly WrongWay[];
}

export interface TuneOptions {
  /** Takes the usual ways. */
  readonly device: Device;
  readonly clock: Clock;
  readonly adapter: TunedAdapter;
  readonly tuning: Tuning;
  /** Also what is known already. */
  readonly force?: boolean;
  readonly signal?: AbortSignal;
  /** Share of the usual way's time that a way must save. */
  readonly margin?: number;
  /** Replaced by tests. */
  readonly tunables?: readonly Tunable[];
  readonly onStart?: (shape: string, index: number) => void;
  /** A row, and the record of it where it is new. */
  readonly onRow?: (row: TuneRow, record: TuningRecord | undefined) => Promise<void> | void;
}

/** Chosen: a way that saves less may only have been lucky in its timings. */
const MARGIN = 0.03;
const EFFORT = { software: { sampleMs: 10, samples: 7 }, hardware: { sampleMs: 5, samples: 9 } };

/** Rows of all problems that can be tuned, the costliest first, fewer where it was stopped. Errors: FitError where one does not fit the adapter. */
export async function tune(options: TuneOptions, problems: readonly Collected[]): Promise<TuneRow[]> {
  const { device, adapter, tuning, tunables = TUNABLES, force, signal } = options;
  const dry = new Device(dryGpu(adapter.limits), adapter);
  const experience = createExperience();
  const rows: TuneRow[] = [];
  for (const [index, { op, key, problem: data, uses }] of costliestFirst(problems, tunables, dry).entries()) {
    if (signal?.aborted) break;
    const tunable = tunables.find(({ choice }) => choice.op === op);
    if (!tunable) continue;
    const shape = tunable.text(problemOf(data, (...words) => dry.tensor(...words)));
    const common = { op, key, shape, uses };
    const known = force ? undefined : tuning.record(op, key);
    // With other ways than there were the question is another one.
    if (known?.ways === waysHash(tunable)) {
      const { way, usual, ms, usualMs } = known;
      const row = { ...common, usual: { way: usual, ms: usualMs }, best: { way, ms } };
      rows.push({ ...row, tried: null, serving: null, wrong: [] });
      await options.onRow?.(rows[rows.length - 1], undefined);
      continue;
    }
    options.onStart?.(shape, index);
    const found = await searchProblem(options, tunable, data, experience);
    if (!found) break;
    rows.push({ ...common, ...found });
    const { usual, best } = found;
    const way = tunable.choice.ways.find(({ name }) => name === best.way) as Tunable['choice']['ways'][number];
    const record: TuningRecord = {
      ...{ op, key, problem: data, way: best.way, usual: usual.way, ms: best.ms, usualMs: usual.ms },
      ...{ shaders: shaderHash(dry, way, data), ways: waysHash(tunable) },
    };
    await options.onRow?.(rows[rows.length - 1], record);
  }
  device.throwIfFailed();
  return rows;
}

/** By the arithmetic of all uses, so that what is left out where time runs out matters least. */
function costliestFirst(problems: readonly Collected[], tunables: readonly Tunable[], dry: Device): Collected[] {
  const cost = ({ op, problem: data, uses }: Collected) => {
    const tunable = tunables.find(({ choice }) => choice.op === op);
    if (!tunable) return 0;
    const problem = problemOf(data, (...words) => dry.tensor(...words));
    return uses * product(tunable.output(problem).shape) * tunable.terms(problem);
  };
  const costs = new Map(problems.map((problem) => [problem, cost(problem)]));
  return problems.toSorted((a, b) => (costs.get(b) as number) - (costs.get(a) as number));
}

/** Makes the problem's tensors on the device, of noise, for as long as they are needed. */
async function searchProblem(
  options: TuneOptions,
  tunable: Tunable,
  data: ProblemData,
  experience: Experience,
): Promise<Found | undefined> {
  const { device, clock, signal, margin = MARGIN } = options;
  const made: Tensor[] = [];
  const problem = problemOf<unknown>(data, (shape, label, { dtype, dense }) => {
    const t = device.tensor(shape, label, { dtype, dense });
    made.push(t);
    return t;
  });
  try {
    const output = tunable.output(problem);
    for (const [i, t] of made.entries()) if (t !== output) device.write(t, noise(product(t.shape), i + 1));
    const effort = device.software ? EFFORT.software : EFFORT.hardware;
    return await searchWays({ device, clock, ...effort, margin, experience, signal }, tunable, problem);
  } finally {
    for (const t of made) device.destroyTensor(t);
  }
}
