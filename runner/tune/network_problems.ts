/** The problems of a network's training steps and of its prediction, without allocating any of them. */
import { Device } from '../../engine/device.ts';
import { dryGpu } from '../../engine/dry_gpu.ts';
import { Parameters } from '../../engine/nn/parameters.ts';
import { unet3d } from '../../engine/nn/unet3d.ts';
import { Recording } from '../../engine/recording.ts';
import { product, type Triple } from '../../engine/shape.ts';
import type { Prepared } from '../data/preprocess.ts';
import type { TrainConfig } from '../train/config.ts';
import { stagesOf, usesUnlabelled } from '../train/methods.ts';
import { networkConfig } from '../train/stage.ts';
import type { TunedAdapter } from './adapter.ts';
import { type Collected, createCollector } from './collect.ts';

/** What a problem depends on beside the configuration. */
export interface NetworkData {
  readonly inChannels: number;
  /** Background included. */
  readonly classes: number;
}

/**
 * Records every stage of every configuration, and a window of prediction, on a dry device. Errors: UsageError for what a
 * method cannot run with, FitError for a step that exceeds a limit of the adapter.
 */
export async function networkProblems(
  adapter: TunedAdapter,
  configs: readonly TrainConfig[],
  data: NetworkData,
): Promise<Collected[]> {
  const collector = createCollector();
  const device = new Device(dryGpu(adapter.limits), { ...adapter, choose: collector.choose });
  for (const config of configs) {
    await recordSteps(device, config, data);
    recordWindow(device, config, data);
  }
  device.destroy();
  return collector.collected();
}

async function recordSteps(device: Device, config: TrainConfig, { inChannels, classes }: NetworkData): Promise<void> {
  const labelled = [emptyCase(config.patch, inChannels, true)];
  const unlabelled = usesUnlabelled(config) ? [emptyCase(config.patch, inChannels, false)] : [];
  for (const stage of stagesOf(config)) {
    const trainer = await stage.create({ labelled, unlabelled, classes, offset: 0, device, initialise: false });
    trainer.destroy();
  }
}

/** One window, as validation and `predict` take them. */
function recordWindow(device: Device, config: TrainConfig, { inChannels, classes }: NetworkData): void {
  const network = unet3d(networkConfig(config, inChannels, classes));
  const parameters = Parameters.create(device, network.specs, { trainable: false, initialise: false });
  const rec = new Recording(device, 'window');
  const image = device.tensor([1, ...config.patch, inChannels], 'image');
  rec.noGrad(() => network.forward(rec, parameters, image, { training: false }));
  device.destroyTensor(image);
  parameters.destroy();
}

function emptyCase(shape: Triple, channels: number, labelled: boolean): Prepared {
  const voxels = product(shape);
  return {
    ...{ id: 'empty', channels, shape, spacing: [1, 1, 1], image: new Float32Array(voxels * channels) },
    ...{ label: labelled ? new Uint8Array(voxels) : null, constantChannels: [] },
  };
}
