/**
 * What the precisions lose against float32: a supervised network trained on the same synthetic cases with the same seed in each
 * precision that the adapter has, and their losses side by side.
 *
 *   npx tsx bench/precision.ts [--steps 200] [--gpu auto] [--patch 16,16,16] [--channels 8,16,32] [--batch 2] [--emulate]
 *
 * --emulate computes `matrix` on matrix units that are emulated in WGSL, with their rounding, on adapters that have none; slow.
 * Ctrl-C stops and prints what there is.
 */
import { Command } from 'commander';
import { Device } from '../engine/device.ts';
import { unet3d } from '../engine/nn/unet3d.ts';
import type { Triple } from '../engine/shape.ts';
import { CLASSES, syntheticCase } from '../runner/bench/synthetic.ts';
import { counts, voxels, whole } from '../runner/commands/arguments.ts';
import { placeOf, placeText } from '../runner/commands/bench_place.ts';
import { reportFailure } from '../runner/commands/failure.ts';
import { exit, openGpu } from '../runner/host/node.ts';
import { STOPPED, stopOnSignal } from '../runner/host/stop.ts';
import { PRECISIONS, type Precision, type TrainConfig, trainConfig } from '../runner/train/config.ts';
import { stagesOf } from '../runner/train/methods.ts';
import { networkConfig } from '../runner/train/stage.ts';
import { emulated, LAVAPIPE } from '../test/ops/matrix_emulation.ts';
import { type PrecisionRun, precisionTable } from './precision/table.ts';

const command = new Command('precision')
  .option('--steps <n>', 'of each training', whole(1), 200)
  .option('--gpu <adapter>', 'as for action3d bench', 'auto')
  .option('--patch <z,y,x>', 'voxels of a patch', voxels, [16, 16, 16])
  .option('--channels <list>', 'of each level of the network', counts, [8, 16, 32])
  .option('--batch <n>', 'patches of a step', whole(1), 2)
  .option('--emulate', 'matrix units in WGSL, whatever the adapter has', false)
  .exitOverride();

interface Options {
  readonly steps: number;
  readonly patch: Triple;
  readonly channels: readonly number[];
  readonly batch: number;
}

/** Volumes are larger than a patch by this factor, so that patches differ. */
const MARGIN = 1.25;
/** Steps from one line of progress to the next. */
const TOLD = 10;

function configOf(precision: Precision, { channels, ...rest }: Options): TrainConfig {
  return trainConfig({ method: 'supervised', precision, ...rest, network: { channels: [...channels] } });
}

async function train(device: Device, precision: Precision, options: Options, stop: AbortSignal): Promise<PrecisionRun> {
  const [stage] = stagesOf(configOf(precision, options));
  const shape = options.patch.map((n) => Math.ceil(n * MARGIN)) as unknown as Triple;
  const labelled = [1, 2].map((seed) => syntheticCase(shape, seed, true));
  const input = { labelled, unlabelled: [], classes: CLASSES, offset: 0, initialise: true };
  const trainer = await stage.create({ ...input, device });
  try {
    const losses: number[] = [];
    let skipped = 0;
    while (losses.length < options.steps && !stop.aborted) {
      const step = await trainer.step(losses.length);
      losses.push(step.loss);
      skipped = step.skipped ?? 0;
      if (losses.length % TOLD === 0) process.stderr.write(`${precision}: step ${losses.length} of ${options.steps}\n`);
    }
    return { precision, losses, skipped };
  } finally {
    trainer.destroy();
  }
}

async function main(): Promise<number> {
  const { gpu, emulate, ...options } = command.parse().opts<Options & { gpu: string; emulate: boolean }>();
  const opened = await openGpu({ gpu, tuned: false });
  const matrixUnit = emulate ? LAVAPIPE : opened.matrixUnit;
  const offered = PRECISIONS.filter((precision) => precision !== 'matrix' || matrixUnit);
  // What a precision refuses is told before the others are trained.
  for (const precision of offered) unet3d(networkConfig(configOf(precision, options), 1, CLASSES));
  const { signal } = stopOnSignal(() => process.stderr.write('stopping after this step\n'));
  const runs: PrecisionRun[] = [];
  for (const precision of offered) {
    if (signal.aborted) break;
    const emulates = emulate && precision === 'matrix';
    const device = new Device(emulates ? emulated(opened.device, LAVAPIPE) : opened.device, { ...opened, matrixUnit });
    runs.push(await train(device, precision, options, signal));
    device.destroy();
  }
  const units = matrixUnit
    ? `${emulate ? 'emulated units of' : 'units of'} ${matrixUnit.m} x ${matrixUnit.n} x ${matrixUnit.k}`
    : 'left out: this adapter has no matrix units (--emulate)';
  process.stdout.write(`${placeText(placeOf(opened))}\nmatrix: ${units}\n\n${precisionTable(runs)}\n`);
  return signal.aborted ? STOPPED : 0;
}

await exit(await main().catch((failure) => reportFailure(failure, { json: false, debug: false, color: false })));
