/** `action3d tune`: which of several kernels is the fastest for each convolution of a network, on this adapter. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Device } from '../../engine/device.ts';
import { CheckError, DataError, UsageError } from '../../engine/errors.ts';
import type { Triple } from '../../engine/shape.ts';
import { type ClockKind, createClock } from '../bench/clock.ts';
import { CLASSES, stepConfig } from '../bench/synthetic.ts';
import { readFailure } from '../host/files.ts';
import { type OpenedGpu, openGpu } from '../host/node.ts';
import { tunedAdapter } from '../host/opened_gpu.ts';
import { STOPPED, stopOnSignal } from '../host/stop.ts';
import { statusLine } from '../host/terminal.ts';
import { parseModelCard } from '../predict/model.ts';
import { METHODS, type Method, type Precision, type TrainConfig, trainConfig } from '../train/config.ts';
import { RUN_FILES } from '../train/run_store.ts';
import { assertPrecision } from '../train/stage.ts';
import { type NetworkData, networkProblems } from '../tune/network_problems.ts';
import type { TuningRecord } from '../tune/records.ts';
import type { Tunable } from '../tune/tunables.ts';
import { type TuneRow, tune } from '../tune/tune.ts';
import type { Tuning } from '../tune/tuning.ts';
import { type Place, placeOf } from './bench_place.ts';
import { DEFAULTS } from './bench_step.ts';
import { tuneLine, tuneText } from './tune_text.ts';

export interface TuneOptions {
  readonly gpu?: string;
  readonly json?: boolean;
  readonly quiet?: boolean;
  /** [z, y, x]. */
  readonly patch?: Triple;
  readonly batch?: number;
  readonly channels?: readonly number[];
  readonly method?: readonly Method[];
  readonly precision?: Precision;
  /** A run folder, whose network and training is tuned for. */
  readonly run?: string;
  /** Times again what is known. */
  readonly force?: boolean;
  /** Forgets everything about the adapter instead. */
  readonly clear?: boolean;
}

/** What `tune --json` prints. */
export interface TuneReport {
  readonly place: Place;
  readonly clock: ClockKind;
  /** Whose problems were timed, in a phrase. */
  readonly network: string;
  readonly rows: readonly TuneRow[];
  /** Distinct problems of the network; more than rows where it was stopped. */
  readonly problems: number;
  readonly stopped: boolean;
  /** Where the results are, or why they are nowhere. */
  readonly stored: { readonly file: string; readonly problem: string | null };
}

/**
 * Tunes for the training steps and the prediction of a network; `tunables` replaces what can be tuned, for tests.
 *
 * @returns 0, or 75 where it was asked to stop: what was found until then is stored
 * @throws UsageError for sizes that a method cannot run with, DataError for a run that cannot be read, CheckError, after
 * everything is printed, where a way computes something else than the usual one
 */
export async function tuneCommand(options: TuneOptions, tunables?: readonly Tunable[]): Promise<number> {
  requireMeaning(options);
  const opened = await openGpu({ gpu: options.gpu, unsafe: true });
  try {
    if (!options.quiet) for (const note of opened.notes) process.stderr.write(`${note}\n`);
    if (options.clear) return await clear(opened, options);
    const report = await tuned(opened, options, tunables);
    process.stdout.write(`${options.json ? JSON.stringify(report, null, 2) : tuneText(report)}\n`);
    const wrong = report.rows.flatMap(({ shape, wrong }) => wrong.map(({ way, why }) => `${way} on ${shape}: ${why}`));
    if (wrong.length > 0) throw new CheckError(`${wrong.join('; ')}; these were not chosen, please report them`);
    return report.stopped ? STOPPED : 0;
  } finally {
    opened.close();
  }
}

/** What says which network. */
const NETWORK = ['patch', 'batch', 'channels', 'method', 'precision'] as const;

function requireMeaning(options: TuneOptions): void {
  const { run, clear: cleared, force } = options;
  const given = NETWORK.filter((name) => options[name] !== undefined);
  if (run !== undefined && given.length > 0) {
    throw new UsageError(`--${given[0]} and --run both say what to tune for; leave one of them out`);
  }
  if (cleared && (run !== undefined || force || given.length > 0)) {
    throw new UsageError('--clear forgets everything about the adapter; leave the other options out');
  }
}

async function clear({ name, tuning }: OpenedGpu, options: TuneOptions): Promise<number> {
  const { store } = tuning as Tuning;
  const cleared = await store.clear();
  const file = store.name;
  const sentence = cleared ? `${file} is removed: ${name} is not tuned any more` : `${name} was not tuned`;
  process.stdout.write(`${options.json ? JSON.stringify({ file, cleared }, null, 2) : sentence}\n`);
  return 0;
}

async function tuned(
  opened: OpenedGpu,
  options: TuneOptions,
  tunables: readonly Tunable[] | undefined,
): Promise<TuneReport> {
  const tuning = opened.tuning as Tuning;
  const adapter = tunedAdapter(opened);
  const device = new Device(opened.device, adapter);
  const clock = createClock(device);
  const status = statusLine(!options.quiet && !options.json);
  const stop = stopOnSignal(() => {
    if (!options.quiet) process.stderr.write('\nstopping after the kernel at hand; once more to end at once\n');
  });
  let problem: string | null = null;
  const store = async (record: TuningRecord) => {
    try {
      await tuning.add([record]);
    } catch (failure) {
      problem ??= (failure as Error).message;
    }
  };
  try {
    const { configs, data, network } = await wanted(options, opened.software);
    for (const { precision } of configs) assertPrecision(device, precision, opened.name);
    const problems = await networkProblems(adapter, configs, data);
    const rows = await tune(
      {
        ...{ device, clock, adapter, tuning, tunables, force: options.force, signal: stop.signal },
        onStart: (shape, index) => status.show(`${index + 1}/${problems.length} ${shape}`),
        onRow: (row, record) => {
          status.tell(tuneLine(row));
          return record && store(record);
        },
      },
      problems,
    );
    const { name: file } = tuning.store;
    if (problem && !options.quiet) {
      process.stderr.write(`what was found cannot be kept for other commands: ${problem}\n`);
    }
    return {
      ...{ place: placeOf(opened), clock: clock.kind, network, rows, problems: problems.length },
      ...{ stopped: stop.signal.aborted && rows.length < problems.length, stored: { file, problem } },
    };
  } finally {
    stop.dispose();
    status.clear();
    clock.destroy();
    device.destroy();
  }
}

/** The trainings to tune for: those of a run, or those that `bench step` times. */
async function wanted(
  options: TuneOptions,
  software: boolean,
): Promise<{ configs: TrainConfig[]; data: NetworkData; network: string }> {
  if (options.run !== undefined) {
    const { config, data } = await ofRun(options.run);
    return { configs: [config], data, network: `the run in ${options.run}` };
  }
  const usual = DEFAULTS[software ? 'software' : 'hardware'];
  const patch = options.patch ?? usual.patch;
  const batch = options.batch ?? usual.batch;
  const channels = options.channels ?? usual.channels;
  const { method: methods = METHODS, precision = 'fp32' } = options;
  const configs = methods.map((method) => stepConfig(method, { patch, batch, channels, precision }));
  const network = `patch ${patch.join(' x ')} (z, y, x), batch ${batch}, U-Net ${channels.join('-')}, ${precision}, ${methods.join(', ')}`;
  return { configs, data: { inChannels: 1, classes: CLASSES }, network };
}

async function ofRun(run: string): Promise<{ config: TrainConfig; data: NetworkData }> {
  const read = async (name: string) => {
    const path = join(run, name);
    const text = await readFile(path, 'utf8').catch((failure) => {
      throw readFailure(path, failure);
    });
    return { path, text };
  };
  const saved = await read(RUN_FILES.config);
  let config: TrainConfig;
  try {
    config = trainConfig(JSON.parse(saved.text), saved.path);
  } catch (cause) {
    throw new DataError(`${saved.path} is no configuration (${(cause as Error).message}); restore it`, { cause });
  }
  const card = await read(RUN_FILES.modelCard);
  const { inChannels, classes } = parseModelCard(card.text, card.path).network;
  return { config, data: { inChannels, classes } };
}
