import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { UsageError } from '../../engine/errors.ts';
import { exists } from '../host/files.ts';
import { ownVersion } from '../host/packages.ts';
import { lockRunFolder, runFolder } from '../host/run_folder.ts';
import { configHash, type TrainConfig } from '../train/config.ts';
import { RUN_FILES, type RunStore } from '../train/run_store.ts';
import { runTraining, type TrainingResult } from '../train/run_training.ts';
import { TrainingReport } from './train_report.ts';
import { chooseConfig, chooseSplit, openSetup, type Setup, type SetupOptions } from './training_setup.ts';

export interface TrainCommandOptions extends SetupOptions {
  output: string;
  maxHours?: number;
  force?: boolean;
}

/** Stopped on request before the last step; started again, the run continues. */
const STOPPED = 75;
/** A second Ctrl-C: nothing more is saved. */
const INTERRUPTED = 130;

/**
 * `train DATASET -o RUN`: trains, validates and saves into the run folder, continuing what is there. Ctrl-C, SIGTERM,
 * --max-hours and a file `STOP` in the folder finish the step and save. @returns 0 when done, 75 when stopped early
 */
export async function train(directory: string, options: TrainCommandOptions): Promise<number> {
  const setup = await openSetup(directory, options);
  const unlock = await lockRunFolder(options.output);
  const stop = stopSignals();
  try {
    if (options.force) await removeRun(options.output);
    const store = runFolder(options.output);
    const split = await chooseSplit(setup.dataset, options);
    const { config } = await chooseConfig(setup, split, options);
    await settleConfig(store, config);
    await store.write(RUN_FILES.split, json(splitIds(split)));
    await store.write(RUN_FILES.environment, json(environment(setup)));

    const started = performance.now();
    const report = new TrainingReport({ config, store, device: setup.device, options });
    const result = await runTraining(
      { ...setup, split, config, store },
      {
        ...report.events(),
        shouldStop: () => {
          const hours = (performance.now() - started) / 3_600_000;
          return (
            stop.requested() ||
            (options.maxHours !== undefined && hours >= options.maxHours) ||
            stop.fileIn(options.output)
          );
        },
      },
    );
    await report.finish(result);
    await finish(options, result, config);
    return result.finished ? 0 : STOPPED;
  } finally {
    stop.release();
    await unlock();
    setup.device.destroy();
  }
}

/** The first run writes its configuration; later ones must have the same. */
async function settleConfig(store: RunStore, config: TrainConfig): Promise<void> {
  const before = await store.read(RUN_FILES.config);
  if (!before) {
    await store.write(RUN_FILES.config, json(config));
    return;
  }
  const saved = JSON.parse(new TextDecoder().decode(before)) as TrainConfig;
  if ((await configHash(saved)) === (await configHash(config))) return;
  const differences = compare(saved, config).join('; ');
  throw new UsageError(
    `${store.name} holds a run with other options: ${differences}; use the same options to continue it, another folder, or --force to replace it`,
  );
}

/** `name was a, now b` for every leaf that differs. */
function compare(a: unknown, b: unknown, path = ''): string[] {
  const both = [a, b].every((v) => typeof v === 'object' && v !== null && !Array.isArray(v));
  if (!both)
    return JSON.stringify(a) === JSON.stringify(b)
      ? []
      : [`${path} is ${JSON.stringify(a)} there and ${JSON.stringify(b)} now`];
  const [left, right] = [a, b] as Record<string, unknown>[];
  const keys = new Set([...Object.keys(left), ...Object.keys(right)]);
  return [...keys].flatMap((key) => compare(left[key], right[key], path ? `${path}.${key}` : key));
}

function splitIds(split: Awaited<ReturnType<typeof chooseSplit>>) {
  const ids = (cases: readonly { id: string }[]) => cases.map(({ id }) => id);
  return {
    hash: split.hash,
    labelled: ids(split.labelled),
    unlabelled: ids(split.unlabelled),
    validation: ids(split.validation),
    test: ids(split.test),
  };
}

function environment({ opened }: Setup) {
  return {
    action3d: ownVersion(),
    node: process.versions.node,
    platform: `${process.platform}-${process.arch}`,
    adapter: {
      name: opened.name,
      backend: opened.backend,
      kind: opened.kind,
      description: opened.adapter.info.description,
    },
  };
}

/** Removes what a run wrote, and nothing else that may be in the folder. */
async function removeRun(folder: string): Promise<void> {
  for (const path of Object.values(RUN_FILES)) await rm(join(folder, path), { force: true });
}

async function finish(options: TrainCommandOptions, result: TrainingResult, config: TrainConfig): Promise<void> {
  if (options.json) {
    const value = {
      run: options.output,
      step: result.step,
      steps: config.steps,
      finished: result.finished,
      best: result.best,
    };
    process.stdout.write(`${json(value)}`);
    return;
  }
  if (options.quiet) return;
  const { step, finished, best } = result;
  const score = best ? `; best validation Dice ${best.dice.toFixed(4)} at step ${best.step}` : '';
  process.stdout.write(
    finished
      ? `trained ${step} steps into ${options.output}${score}\nnext: action3d predict ${options.output} IMAGES -o PREDICTIONS\n`
      : `stopped after ${step} of ${config.steps} steps, saved in ${options.output}; start the same command again to continue\n`,
  );
}

/** Ctrl-C and SIGTERM ask to stop; a second one ends the process at once. */
function stopSignals() {
  let requested = false;
  let checked = 0;
  let file = false;
  const onSignal = () => {
    if (requested) process.exit(INTERRUPTED);
    requested = true;
    process.stderr.write('\nfinishing the step, then saving (once more to quit without)\n');
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGUSR1'] as const;
  for (const signal of signals) process.on(signal, onSignal);
  return {
    requested: () => requested,
    /** Looks at the disk at most every two seconds. */
    fileIn(folder: string) {
      if (performance.now() - checked > 2000) {
        checked = performance.now();
        exists(join(folder, 'STOP')).then((there) => {
          file = there;
        });
      }
      return file;
    },
    release() {
      for (const signal of signals) process.off(signal, onSignal);
    },
  };
}

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
