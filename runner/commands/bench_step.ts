import { Device } from '../../engine/device.ts';
import { dryGpu } from '../../engine/dry_gpu.ts';
import type { Triple } from '../../engine/shape.ts';
import type { Peaks } from '../bench/peaks.ts';
import { benchSteps, type StepRow } from '../bench/steps.ts';
import { type StepShape, stepConfig } from '../bench/synthetic.ts';
import { METHODS } from '../train/config.ts';
import { assertPrecision } from '../train/stage.ts';
import type { BenchOptions } from './bench.ts';
import type { Place } from './bench_place.ts';
import { benchSession } from './bench_session.ts';
import { stepLine, stepsText } from './bench_text.ts';

/** What `bench step --json` prints. */
export interface StepsReport extends StepShape {
  readonly subject: 'step';
  readonly place: Place;
  readonly peaks: Peaks;
  readonly rows: readonly StepRow[];
}

/** Sizes without options: what a software adapter does in a minute, and what the targets speak of. */
export const DEFAULTS = {
  software: { patch: [16, 16, 16] as Triple, batch: 2, channels: [8, 16, 32] },
  hardware: { patch: [80, 112, 112] as Triple, batch: 2, channels: [16, 32, 64, 128, 256] },
};
const EFFORT = {
  software: { warmUp: 1, samples: 10, seconds: 2 },
  hardware: { warmUp: 20, samples: 50, seconds: 20 },
};

/**
 * Times whole training steps of every method, or of those of --method.
 *
 * @returns exit code 0
 * @throws UsageError for sizes that a method cannot run with or a precision that the adapter lacks, FitError where one does not
 * fit the adapter
 */
export async function benchStepCommand(options: BenchOptions): Promise<number> {
  const report = await benchSession(options, async ({ device, opened, place, status, peaks: measure }) => {
    const { precision = 'fp32' } = options;
    assertPrecision(device, precision, opened.name);
    const kind = opened.software ? 'software' : 'hardware';
    const { patch, batch, channels } = DEFAULTS[kind];
    const shape: StepShape = {
      ...{ patch: options.patch ?? patch, batch: options.batch ?? batch },
      ...{ channels: options.channels ?? channels, precision },
    };
    const configs = (options.method ?? METHODS).map((method) => stepConfig(method, shape));
    const peaks = await measure();
    const usual = EFFORT[kind];
    const effort = options.repeats ? { ...usual, samples: options.repeats, seconds: Infinity } : usual;
    const dry = new Device(dryGpu(device.limits), opened);
    const bench = { device, dry, flopsPerSecond: peaks.flopsPerSecond, effort };
    const rows: StepRow[] = [];
    for (const config of configs) {
      status.show(`${config.method}: compiling, then ${effort.samples} steps a stage`);
      rows.push(...(await benchSteps(bench, config, (row) => status.tell(stepLine(row)))));
    }
    return { subject: 'step', place, ...shape, peaks, rows } as const;
  });
  process.stdout.write(`${options.json ? JSON.stringify(report, null, 2) : stepsText(report)}\n`);
  return 0;
}
