/** Time on the device: its own timestamps where the adapter has them, else the host's clock around a wait. */
import type { Device } from '../../engine/device.ts';
import type { EncodedPart, Program } from '../../engine/program.ts';
import { median } from './statistics.ts';

export type ClockKind = 'timestamps' | 'wall clock';

export interface Clock {
  readonly kind: ClockKind;
  /** Milliseconds of one submit that runs a part of a program: of the device alone, and until the host knew. */
  measure(program: Program, part?: Omit<EncodedPart, 'stamps'>): Promise<{ ms: number; wallMs: number }>;
  destroy(): void;
}

const QUERY_RESOLVE_COPY_SRC = 0x0200 | 0x0004;

/** `timestamps: false` takes the host's clock in any case. */
export function createClock(device: Device, options: { timestamps?: boolean } = {}): Clock {
  const { gpu } = device;
  const stamped = (options.timestamps ?? true) && gpu.features.has('timestamp-query');
  const stamps = stamped ? gpu.createQuerySet({ type: 'timestamp', count: 2 }) : undefined;
  const resolved = stamps && device.createBuffer(16, 'timestamps', QUERY_RESOLVE_COPY_SRC);

  async function stampedMs(set: GPUQuerySet, buffer: GPUBuffer): Promise<number> {
    const encoder = gpu.createCommandEncoder();
    encoder.resolveQuerySet(set, 0, 2, buffer, 0);
    gpu.queue.submit([encoder.finish()]);
    const [begin, end] = new BigUint64Array(await device.readBuffer(buffer, 0, 16));
    return Number(end - begin) / 1e6;
  }

  return {
    kind: stamped ? 'timestamps' : 'wall clock',
    async measure(program, part) {
      const commands = program.encoded({ ...part, stamps });
      await device.idle();
      const start = performance.now();
      gpu.queue.submit([commands]);
      await device.idle();
      const wallMs = performance.now() - start;
      const ms = stamps && resolved ? await stampedMs(stamps, resolved) : wallMs;
      // A driver that leaves the stamps of an empty pass out gives nothing or less.
      return { ms: ms > 0 ? ms : wallMs, wallMs };
    },
    destroy() {
      stamps?.destroy();
      if (resolved) device.destroyBuffer(resolved);
    },
  };
}

/** How much is measured. */
export interface Effort {
  /** Milliseconds that the runs of one submit should take together, so that its launch hardly counts. */
  readonly sampleMs: number;
  /** Samples, the median of which is told; fewer, but at least 3, where they take longer than `budgetMs`. */
  readonly samples: number;
  readonly budgetMs: number;
}

export function effortFor(software: boolean, samples?: number): Effort {
  if (software) return { sampleMs: 20, samples: samples ?? 5, budgetMs: samples ? Infinity : 250 };
  return { sampleMs: 10, samples: samples ?? 15, budgetMs: samples ? Infinity : 2000 };
}

export interface Timing {
  /** Median milliseconds of one run among many in a submit. */
  readonly ms: number;
  /** Median milliseconds from the submit of a single run until the host knows that it is done. */
  readonly aloneMs: number;
  /** Runs in a submit, and submits timed. */
  readonly runs: number;
  readonly samples: number;
}

const MOST_RUNS = 1000;
/** Commands in a submit: more only make its encoding long. */
const MOST_COMMANDS = 20_000;
const FEWEST_SAMPLES = 3;

/** Times a part of a program that has run before. */
export async function timePart(
  clock: Clock,
  program: Program,
  part: { readonly from: number; readonly to: number },
  effort: Effort,
): Promise<Timing> {
  const start = performance.now();
  const alone: { ms: number; wallMs: number }[] = [];
  for (let i = 0; i < FEWEST_SAMPLES; i++) alone.push(await clock.measure(program, part));
  const aloneMs = median(alone.map(({ wallMs }) => wallMs));
  const most = Math.max(1, Math.min(MOST_RUNS, Math.floor(MOST_COMMANDS / Math.max(1, part.to - part.from))));
  const times = Math.min(most, Math.max(1, Math.ceil(effort.sampleMs / aloneMs)));
  const found = times === 1 ? alone.map(({ ms }) => ms) : [];
  while (found.length < effort.samples) {
    if (found.length >= FEWEST_SAMPLES && performance.now() - start > effort.budgetMs) break;
    found.push((await clock.measure(program, { ...part, times })).ms / times);
  }
  return { ms: median(found), aloneMs, runs: times, samples: found.length };
}
