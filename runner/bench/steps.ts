/** Whole training steps of every method, timed as the training loop runs them. */
import type { Device } from '../../engine/device.ts';
import { NumericError } from '../../engine/errors.ts';
import type { Triple } from '../../engine/shape.ts';
import type { Method, TrainConfig } from '../train/config.ts';
import { stagesOf } from '../train/methods.ts';
import { type Stage, VOLUME_BYTES } from '../train/stage.ts';
import type { Trainer } from '../train/trainer.ts';
import { median, quantile } from './statistics.ts';
import { CLASSES, syntheticCase } from './synthetic.ts';

/** Steps of one stage of a method. Milliseconds are medians but for `p95Ms`. */
export interface StepRow {
  readonly method: Method;
  readonly stage: string;
  /** From one step's losses to the next one's, two steps being in flight as in training. */
  readonly ms: number;
  readonly p95Ms: number;
  readonly samples: number;
  /** The host's part: encoding the commands alone, and all of it (patches, uploads, encoding, submit). */
  readonly encodeMs: number;
  readonly hostMs: number;
  /** Until the first losses: allocating, one step, compiling what no stage before it on the device has. */
  readonly firstMs: number;
  /** A step on data that is there already, and the share of a step beyond that: how long the device waits for data. */
  readonly replayMs: number;
  readonly waitShare: number;
  /** Dispatches and copies. */
  readonly commands: number;
  /** What a device that allocates nothing counts beforehand, and what the device holds. */
  readonly plannedBytes: number;
  readonly heldBytes: number;
  /** Of convolutions. */
  readonly flops: number;
  readonly flopsPerSecond: number;
  /** Of the arithmetic peak: the floor's share of the time. */
  readonly ofFma: number;
}

export interface StepEffort {
  /** Steps before the clock starts, at least 1; fewer where they take long. */
  readonly warmUp: number;
  readonly samples: number;
  /** Seconds a stage, after which fewer samples do, but at least 3. */
  readonly seconds: number;
}

export interface StepBench {
  readonly device: Device;
  /** The same limits and traits, on a dry GPU. */
  readonly dry: Device;
  readonly flopsPerSecond: number;
  readonly effort: StepEffort;
}

const FEWEST = 3;
/** Of a stage's seconds, after which warming up ends. */
const WARM_UP_SHARE = 0.25;
/** Volumes are larger than a patch by this factor, as augmentation reaches beyond it. */
const MARGIN = 1.25;

/** Times the stages of a configuration on synthetic cases, two labelled and two not. */
export async function benchSteps(
  bench: StepBench,
  config: TrainConfig,
  onRow: (row: StepRow) => void = () => undefined,
): Promise<StepRow[]> {
  const shape = config.patch.map((n) => Math.ceil(n * MARGIN)) as unknown as Triple;
  const cases = {
    labelled: [1, 2].map((seed) => syntheticCase(shape, seed, true)),
    unlabelled: config.method === 'supervised' ? [] : [3, 4].map((seed) => syntheticCase(shape, seed, false)),
  };
  const rows: StepRow[] = [];
  for (const stage of stagesOf(config)) {
    const input = { ...cases, classes: CLASSES, offset: 0, volumeBytes: VOLUME_BYTES };
    const plan = await stage.create({ ...input, device: bench.dry, initialise: false });
    const plannedBytes = plan.memory.total;
    plan.destroy();
    const before = bench.device.bytesHeld;
    const start = performance.now();
    const trainer = await stage.create({ ...input, device: bench.device, initialise: true });
    try {
      const heldBytes = bench.device.bytesHeld - before;
      const row = {
        ...(await timeSteps(bench, stage, trainer, start)),
        method: config.method,
        plannedBytes,
        heldBytes,
      };
      rows.push(row);
      onRow(row);
    } finally {
      trainer.destroy();
    }
  }
  return rows;
}

async function timeSteps(
  { device, flopsPerSecond, effort }: StepBench,
  { name }: Stage,
  trainer: Trainer,
  start: number,
): Promise<Omit<StepRow, 'method' | 'plannedBytes' | 'heldBytes'>> {
  await trainer.ready?.(0);
  requireFinite(name, 1, await trainer.step(0));
  const firstMs = performance.now() - start;
  // Replays before and after the steps, so that a machine that gets slower or faster is not taken for waiting.
  const half = { ...effort, samples: Math.ceil(effort.samples / 2), seconds: effort.seconds / 2 };
  const replays = () => timeRuns(name, half, trainer.depth, () => trainer.replay());
  const before = await replays();
  const { times, host } = await timeRuns(name, effort, trainer.depth, (step) => trainer.step(step + 1));
  const [ms, replayMs] = [median(times), median([...before.times, ...(await replays()).times])];
  const rate = trainer.flops / (ms / 1000);
  return {
    ...{ stage: name, ms, p95Ms: quantile(times, 0.95), samples: times.length },
    ...{ encodeMs: await encodeMs(device, trainer), hostMs: median(host), commands: trainer.commands },
    ...{ firstMs, replayMs, waitShare: Math.max(0, 1 - replayMs / ms) },
    ...{ flops: trainer.flops, flopsPerSecond: rate, ofFma: rate / flopsPerSecond },
  };
}

/**
 * Milliseconds from one run's losses to the next one's, and the host's part of each. Losses arrive while the next run is in
 * flight, as in training; what arrives last of warming up starts the clock.
 */
async function timeRuns(
  stage: string,
  { warmUp, samples, seconds }: StepEffort,
  depth: number,
  run: (index: number) => Promise<Record<string, number>>,
): Promise<{ times: number[]; host: number[] }> {
  const host: number[] = [];
  const arrivals: number[] = [];
  const inFlight: Promise<Record<string, number>>[] = [];
  const began = performance.now();
  let warm: number | undefined;
  const enough = () => {
    const long = performance.now() - began > 1000 * seconds * WARM_UP_SHARE;
    if (arrivals.length >= warmUp || (long && arrivals.length > 0)) warm ??= arrivals.length;
    if (warm === undefined) return false;
    const timed = arrivals.length - warm;
    return timed >= samples || (timed >= FEWEST && performance.now() - arrivals[warm - 1] > 1000 * seconds);
  };
  while (!enough()) {
    const start = performance.now();
    inFlight.push(run(host.length));
    host.push(performance.now() - start);
    if (inFlight.length < depth) continue;
    requireFinite(stage, host.length, await (inFlight.shift() as Promise<Record<string, number>>));
    arrivals.push(performance.now());
  }
  for (const losses of inFlight) requireFinite(stage, host.length, await losses);
  return { times: arrivals.map((at, i) => at - arrivals[i - 1]).slice(warm), host: host.slice(warm) };
}

async function encodeMs(device: Device, trainer: Trainer): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < 9; i++) {
    await device.idle();
    const start = performance.now();
    trainer.encode();
    times.push(performance.now() - start);
  }
  return median(times);
}

function requireFinite(stage: string, step: number, losses: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(losses)) {
    if (Number.isFinite(value)) continue;
    throw new NumericError(
      `'${name}' of ${stage} became ${value} within ${step} steps on noise, so its time means nothing; try another --patch or --channels`,
    );
  }
}
