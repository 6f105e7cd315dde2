import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { exists } from '../host/files.ts';
import { ownVersion } from '../host/packages.ts';
import { runFolder } from '../host/run_folder.ts';
import { lockRunFolder } from '../host/run_lock.ts';
import { STOPPED, stopOnSignal } from '../host/stop.ts';
import { assertRoomForLabels, memoryForVoxels, roomForImages, voxelShelf } from '../host/voxel_file.ts';
import type { TrainConfig } from '../train/config.ts';
import { RUN_FILES } from '../train/run_store.ts';
import { runTraining, type TrainingResult } from '../train/run_training.ts';
import { assertRunFolder, claimRun } from './run_identity.ts';
import { runWays } from './run_ways.ts';
import { TrainingReport } from './train_report.ts';
import { chooseRun, openSetup, type Setup, type SetupOptions, takeWays } from './training_setup.ts';

export interface TrainCommandOptions extends SetupOptions {
  output: string;
  maxHours?: number;
  /** Bytes of prepared images in memory; the others go into a file in the run folder. */
  memory?: number;
  force?: boolean;
}

/** A file of this name in the run folder stops the run; it is removed when that is done. */
const STOP_FILE = 'STOP';
const STOP_FILE_MS = 2000;

/**
 * `train DATASET -o RUN`: trains, validates and saves into the run folder, continuing what is there. Ctrl-C, SIGTERM,
 * SIGUSR1, --max-hours and a file `STOP` in the folder finish the step and save. @returns 0 when done, 75 when stopped early
 */
export async function train(directory: string, options: TrainCommandOptions): Promise<number> {
  await assertRunFolder(options.output, directory);
  const setup = await openSetup(directory, options);
  try {
    const unlock = await lockRunFolder(options.output);
    try {
      return await trainLocked(setup, options);
    } finally {
      await unlock();
    }
  } finally {
    setup.close();
  }
}

async function trainLocked(setup: Setup, options: TrainCommandOptions): Promise<number> {
  const { output } = options;
  const stop = stopConditions(options);
  try {
    const store = runFolder(output);
    const ways = await runWays(store, setup.opened, options.force ?? false);
    takeWays(setup, ways.choose);
    const { config, plan } = await chooseRun(setup, options);
    const memory = options.memory ?? memoryForVoxels();
    assertRoomForLabels(plan.forecast.labelBytes);
    const finished = !options.force && (await exists(join(output, RUN_FILES.weights)));
    const spilled = finished ? undefined : await roomForImages(output, plan.forecast.imageBytes, memory);
    if (spilled && !options.quiet) process.stderr.write(`${spilled}\n`);
    const { split, dataset, source, device, from } = setup;
    if (options.force) await removeRun(output);
    await claimRun(store, config, split);
    await ways.save();
    await store.write(RUN_FILES.environment, `${JSON.stringify(environment(setup), null, 2)}\n`);
    if (!options.quiet) for (const reason of setup.reasons) process.stderr.write(`${reason}\n`);
    const report = new TrainingReport({ config, store, device, options });
    const events = { ...report.events(), shouldStop: stop.requested };
    const shelf = voxelShelf(output, memory);
    const result = await runTraining(
      {
        ...{ device, dataset, source, split, config, store, from: from?.groups, keep: shelf.keep },
        volumeBytes: Math.min(
          plan.volumeBytes,
          volumeRoom(setup, memory - plan.forecast.imageBytes - plan.forecast.labelBytes),
        ),
      },
      events,
    )
      .catch(async (failure) => {
        await report.close().catch(() => undefined); // the failure matters more than the log
        throw failure;
      })
      .finally(shelf.close);
    await report.close();
    if (!result.finished) await rm(join(output, STOP_FILE), { force: true });
    print(options, result, config);
    return result.finished ? 0 : STOPPED;
  } finally {
    stop.dispose();
  }
}

/** A software adapter's memory is the machine's: volumes there are second copies, and have to fit --memory beside the first. */
const volumeRoom = ({ opened }: Setup, left: number): number => (opened.software ? Math.max(0, left) : Infinity);

function environment({ opened, from }: Setup) {
  return {
    ...(from && { from: from.file }),
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

/** Removes what a run wrote, and nothing else that may be in the folder; what tells that it is a run goes last. */
async function removeRun(folder: string): Promise<void> {
  for (const path of Object.values(RUN_FILES).reverse()) await rm(join(folder, path), { force: true });
}

function print(options: TrainCommandOptions, result: TrainingResult, { steps }: TrainConfig): void {
  const { output: run, json, quiet } = options;
  const { step, finished, best } = result;
  if (json) process.stdout.write(`${JSON.stringify({ run, step, steps, finished, best }, null, 2)}\n`);
  if (json || quiet) return;
  const score = best ? `; best validation Dice ${best.dice.toFixed(4)} at step ${best.step}` : '';
  process.stdout.write(
    finished
      ? `trained ${step} steps into ${run}${score}\nnext: action3d predict ${run} IMAGES -o PREDICTIONS\n`
      : `stopped after ${step} of ${steps} steps, saved in ${run}; start the same command again to continue\n`,
  );
}

/** All that may ask a run to stop. */
function stopConditions({ output, maxHours = Infinity, quiet }: TrainCommandOptions) {
  const started = performance.now();
  const signals = stopOnSignal(() => {
    if (!quiet) process.stderr.write('\nfinishing the step, then saving (once more to quit without)\n');
  }, ['SIGUSR1']);
  let checked = -Infinity;
  let file = false;
  /** The disk is looked at while the training goes on, at most every two seconds. */
  const stopFile = () => {
    if (performance.now() - checked > STOP_FILE_MS) {
      checked = performance.now();
      exists(join(output, STOP_FILE)).then((there) => {
        file = there;
      });
    }
    return file;
  };
  const late = () => performance.now() - started >= maxHours * 3_600_000;
  return { requested: () => signals.signal.aborted || late() || stopFile(), dispose: signals.dispose };
}
