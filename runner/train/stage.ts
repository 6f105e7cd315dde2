import type { Device } from '../../engine/device.ts';
import { UsageError } from '../../engine/errors.ts';
import { type Unet3d, unet3d } from '../../engine/nn/unet3d.ts';
import type { UnetConfig } from '../../engine/nn/unet3d_config.ts';
import type { PatchCase } from '../data/voxels.ts';
import { logClassShares } from './class_prior.ts';
import type { Precision, TrainConfig } from './config.ts';
import type { Trainer } from './trainer.ts';

/** GPU bytes for whole volumes that a training run takes where nobody says otherwise. */
export const VOLUME_BYTES = 2 ** 30;

/** What a stage is made from. */
export interface StageInput<Config extends TrainConfig = TrainConfig> {
  readonly device: Device;
  readonly config: Config;
  readonly labelled: readonly PatchCase[];
  /** Empty for a method that uses none. */
  readonly unlabelled: readonly PatchCase[];
  /** Background included. */
  readonly classes: number;
  /** Steps of the stages before. */
  readonly offset: number;
  /** False leaves all weights zero, for a forecast. */
  readonly initialise: boolean;
  /** GPU bytes for whole volumes of all cases together; patches of those without a place there are cut out by the host. Default 0. */
  readonly volumeBytes?: number;
}

/** A part of a run with a loss and a schedule of its own. A method is a list of them. */
export interface Stage {
  /** As people read it; 'supervised', '1a', …; checkpoints carry it. */
  readonly name: string;
  readonly steps: number;
  /** False where the network does not predict yet: its output layers learn nothing in this stage. */
  readonly predicts: boolean;
  /** The groups of the state at the end of the stage before that each group of this one starts from, the first there is. */
  readonly takesOver: Readonly<Record<string, readonly string[]>>;
  create(input: Omit<StageInput, 'config'>): Promise<Trainer>;
}

/** What a precision means for a network. */
export function precisionOf(precision: Precision): Pick<UnetConfig, 'storage' | 'products'> {
  return {
    ...(precision !== 'fp32' && { storage: 'bf16' as const }),
    ...(precision === 'matrix' && { products: 'f16' as const }),
  };
}

/** Errors: UsageError for a precision that needs matrix units on an adapter, called `name`, without. */
export function assertPrecision(
  { matrixUnit }: Pick<Device, 'matrixUnit'>,
  precision: Precision,
  name = 'this adapter',
): void {
  if (precision !== 'matrix' || matrixUnit) return;
  throw new UsageError(
    `precision matrix needs an adapter that multiplies float16 matrices with float32 sums (features shader-f16, subgroups and chromium-experimental-subgroup-matrix), and ${name} does not; use --precision mixed`,
  );
}

/** What every method makes of the configuration's `network` for a data set; `model.json` holds the same. */
export function networkConfig(
  { network, precision }: Pick<TrainConfig, 'network' | 'precision'>,
  inChannels: number,
  classes: number,
): UnetConfig {
  const { kernels, strides, classPrior: _, ...rest } = network;
  return {
    ...rest,
    ...(kernels && { kernels }),
    ...(strides && { strides }),
    ...precisionOf(precision),
    inChannels,
    classes,
  };
}

/** The network that a stage trains, its first weights included. */
export function networkOf({ config, labelled, classes }: Pick<StageInput, 'config' | 'labelled' | 'classes'>): Unet3d {
  const shape = networkConfig(config, labelled[0].channels, classes);
  return unet3d(config.network.classPrior ? { ...shape, headBias: logClassShares(labelled, classes) } : shape);
}
