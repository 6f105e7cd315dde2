import type { Device } from '../../engine/device.ts';
import type { Dataset } from '../data/dataset.ts';
import { type Grid, targetGrid } from '../data/resample.ts';
import type { TrainConfig } from './config.ts';
import { createSupervised } from './supervised.ts';
import type { TrainerMemory } from './trainer.ts';

/** What a training run will take, known before a volume is read or a byte allocated. */
export interface Forecast {
  readonly memory: TrainerMemory;
  /** Dispatches and copies of a step. */
  readonly commands: number;
  /** Floating-point operations of a step's convolutions. */
  readonly flops: number;
}

/**
 * Builds the training on a device that allocates nothing (dryGpu) and reads off what it took: the same code as the real
 * one, hence the same bytes. `cases` are the grids of the cases whose labels train, as their files have them.
 *
 * @throws FitError where a buffer exceeds the adapter's limits, UsageError for a network that cannot be built
 */
export async function forecastTraining(
  dry: Device,
  config: TrainConfig,
  dataset: Pick<Dataset, 'channels' | 'labels'>,
  cases: readonly Grid[],
): Promise<Forecast> {
  const prepared = cases.map((grid) => ({
    ...targetGrid(grid, config.preprocessing.spacing),
    channels: dataset.channels.length,
    image: new Float32Array(0),
    label: new Uint8Array(0),
    constantChannels: [],
  }));
  const trainer = await createSupervised(dry, config, prepared, dataset.labels.length, { initialise: false });
  const { memory, commands, flops } = trainer;
  trainer.destroy();
  return { memory, commands, flops };
}
