import { CheckError } from '../../engine/errors.ts';
import type { Triple } from '../../engine/shape.ts';
import type { Peaks } from '../bench/peaks.ts';
import { benchVolumes, type VolumeRow, type VolumeShape } from '../bench/volumes.ts';
import { assertPrecision } from '../train/stage.ts';
import type { BenchOptions } from './bench.ts';
import type { Place } from './bench_place.ts';
import { benchSession } from './bench_session.ts';
import { DEFAULTS } from './bench_step.ts';
import { predictText } from './bench_text.ts';

/** What `bench predict --json` prints. */
export interface PredictReport extends VolumeShape, VolumeRow {
  readonly subject: 'predict';
  readonly place: Place;
  readonly peaks: Peaks;
}

const SIZES = { software: [32, 48, 32] as Triple, hardware: [128, 256, 256] as Triple };
const SAMPLES = { software: 3, hardware: 10 };

/**
 * Times sliding-window prediction of whole volumes.
 *
 * @returns exit code 0
 * @throws UsageError for a patch that the network cannot halve or a precision that the adapter lacks, CheckError, after
 * everything is printed, where the labels are not the network's classes
 */
export async function benchPredictCommand(options: BenchOptions): Promise<number> {
  const report = await benchSession(options, async ({ device, opened, place, status, peaks: measure }) => {
    const { precision = 'fp32' } = options;
    assertPrecision(device, precision, opened.name);
    const kind = opened.software ? 'software' : 'hardware';
    const { patch, channels } = DEFAULTS[kind];
    const shape: VolumeShape = {
      ...{ size: options.size ?? SIZES[kind], patch: options.patch ?? patch },
      ...{ batch: options.batch ?? 1, channels: options.channels ?? channels },
      precision,
    };
    const peaks = await measure();
    status.show('compiling, then predicting');
    const samples = options.repeats ?? SAMPLES[kind];
    const row = await benchVolumes(device, shape, { samples, flopsPerSecond: peaks.flopsPerSecond });
    return { subject: 'predict', place, ...shape, peaks, ...row } as const;
  });
  process.stdout.write(`${options.json ? JSON.stringify(report, null, 2) : predictText(report)}\n`);
  const { voxels, different, ok } = report.check;
  if (ok) return 0;
  throw new CheckError(
    `${different} of the ${voxels} labels of a window are not the network's classes; compare the kernels with action3d bench kernels`,
  );
}
