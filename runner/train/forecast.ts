import type { Device } from '../../engine/device.ts';
import { Parameters } from '../../engine/nn/parameters.ts';
import { product } from '../../engine/shape.ts';
import type { Dataset } from '../data/dataset.ts';
import type { Prepared } from '../data/preprocess.ts';
import { type Grid, targetGrid } from '../data/resample.ts';
import { slidingWindowBytes } from '../predict/sliding_window.ts';
import { labelsVolumes, type TrainConfig } from './config.ts';
import { stagesOf } from './methods.ts';
import { networkOf } from './stage.ts';
import type { TrainerMemory } from './trainer.ts';

/** What a stage will take. */
export interface StageForecast {
  readonly name: string;
  readonly steps: number;
  readonly memory: TrainerMemory;
  /** Dispatches and copies of a step. */
  readonly commands: number;
  /** Floating-point operations of a step's convolutions. */
  readonly flops: number;
}

/** What a training run will take, known before a volume is read or a byte allocated. */
export interface Forecast {
  /** Of the stage that holds most. */
  readonly memory: TrainerMemory;
  /** GPU bytes beside a stage's, while the largest volume is predicted: for validation, or for pseudo-labels of volumes. */
  readonly predictionBytes: number;
  readonly stages: readonly StageForecast[];
  /** Of all prepared images, in memory or in a file: float32, after resampling. */
  readonly imageBytes: number;
  /** Of the probabilities of whole unlabelled volumes, in memory; 0 where pseudo-labels are made of patches. */
  readonly labelBytes: number;
}

/**
 * Builds each stage on a device that allocates nothing (dryGpu) and reads off what it took: the same code as the real
 * one, hence the same bytes. The grids are those of the cases that train, as their files have them; `volumeBytes` is StageInput's.
 *
 * @throws FitError where a buffer exceeds the adapter's limits, UsageError for a network that cannot be built
 */
export async function forecastTraining(
  dry: Device,
  config: TrainConfig,
  dataset: Pick<Dataset, 'channels' | 'labels'>,
  grids: Readonly<Record<'labelled' | 'unlabelled' | 'validation', readonly Grid[]>>,
  volumeBytes: number,
): Promise<Forecast> {
  const prepared = (grid: Grid): Prepared => ({
    ...targetGrid(grid, config.preprocessing.spacing),
    channels: dataset.channels.length,
    image: new Float32Array(0),
    label: new Uint8Array(0),
    constantChannels: [],
  });
  const cases = { labelled: grids.labelled.map(prepared), unlabelled: grids.unlabelled.map(prepared) };
  const soft = labelsVolumes(config);
  /** With every stage's network. */
  const bytesToPredict = async (volume: Prepared) => {
    const network = networkOf({ config, labelled: cases.labelled, classes: dataset.labels.length });
    const parameters = Parameters.create(dry, network.specs, { seed: config.seed, initialise: false });
    const taken = await slidingWindowBytes(dry, network, parameters, volume, config.patch, { probabilities: soft });
    parameters.destroy();
    return taken;
  };
  const predicted = largest([...grids.validation.map(prepared), ...(soft ? cases.unlabelled : [])]);
  const predictionBytes = predicted ? await bytesToPredict(predicted) : 0;
  const stages: StageForecast[] = [];
  for (const { name, steps, create } of stagesOf(config)) {
    const trainer = await create({
      ...{ device: dry, ...cases, classes: dataset.labels.length, offset: 0, initialise: false, volumeBytes },
    });
    const { memory, commands, flops } = trainer;
    trainer.destroy();
    stages.push({ name, steps, memory, commands, flops });
  }
  const { memory } = stages.reduce((most, stage) => (stage.memory.total > most.memory.total ? stage : most));
  const voxelsOf = (some: readonly Grid[]) =>
    some.reduce((sum, grid) => sum + product(targetGrid(grid, config.preprocessing.spacing).shape), 0);
  const voxels = voxelsOf([...grids.labelled, ...grids.unlabelled, ...grids.validation]);
  const labels = soft ? dataset.labels.length * voxelsOf(grids.unlabelled) : 0;
  const imageBytes = 4 * dataset.channels.length * voxels;
  return { memory, predictionBytes, stages, imageBytes, labelBytes: 4 * labels };
}

/** The case of most voxels, if there is any. */
const largest = (cases: readonly Prepared[]): Prepared | undefined =>
  [...cases].sort((a, b) => product(b.shape) - product(a.shape))[0];
