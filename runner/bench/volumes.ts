/** Prediction of whole volumes, checked and timed. */
import type { Device } from '../../engine/device.ts';
import { Parameters } from '../../engine/nn/parameters.ts';
import { type Unet3d, unet3d } from '../../engine/nn/unet3d.ts';
import { unetFlops } from '../../engine/nn/unet3d_flops.ts';
import { compute } from '../../engine/program.ts';
import { product, type Triple } from '../../engine/shape.ts';
import { slidingWindow } from '../predict/sliding_window.ts';
import { windowPositions } from '../predict/window_positions.ts';
import type { Precision } from '../train/config.ts';
import { precisionOf } from '../train/stage.ts';
import { noise } from './samples.ts';
import { median, quantile } from './statistics.ts';
import { CLASSES } from './synthetic.ts';

export interface VolumeShape {
  /** Voxels of the volume and of a window, [z, y, x]. */
  readonly size: Triple;
  readonly patch: Triple;
  /** Windows in one pass of the network. */
  readonly batch: number;
  readonly channels: readonly number[];
  readonly precision: Precision;
}

export interface VolumeRow {
  /** Labels of a single window against the classes that the network itself gives. */
  readonly check: { readonly voxels: number; readonly different: number; readonly ok: boolean };
  readonly windows: number;
  /** Of one volume, from host values to host labels. */
  readonly ms: number;
  readonly p95Ms: number;
  readonly samples: number;
  readonly volumesPerMinute: number;
  readonly voxelsPerSecond: number;
  /** Of convolutions. */
  readonly flops: number;
  readonly flopsPerSecond: number;
  readonly ofFma: number;
}

const OVERLAP = 0.5;
/** Share of voxels that rounding may put into another class. */
const TIES = 0.001;

/** Checks, then times sliding-window prediction of a volume of noise, the windows half overlapping, by an untrained U-Net. */
export async function benchVolumes(
  device: Device,
  { size, patch, batch, channels, precision }: VolumeShape,
  effort: { readonly samples: number; readonly flopsPerSecond: number },
): Promise<VolumeRow> {
  const network = unet3d({ inChannels: 1, classes: CLASSES, channels, ...precisionOf(precision) });
  const parameters = Parameters.create(device, network.specs, { seed: 1, trainable: false });
  try {
    const check = await checkLabels(device, network, parameters, patch);
    const volume = { data: noise(product(size), 1), shape: size, channels: 1 };
    const times: number[] = [];
    for (let i = 0; i <= effort.samples; i++) {
      const start = performance.now();
      await slidingWindow(device, network, parameters, volume, patch, { overlap: OVERLAP, batch });
      if (i > 0) times.push(performance.now() - start);
    }
    const ms = median(times);
    const windows = windowPositions(size, patch, OVERLAP).length;
    const flops = unetFlops(network.settings, windows, patch).forward;
    const rate = flops / (ms / 1000);
    return {
      ...{ check, windows, ms, p95Ms: quantile(times, 0.95), samples: times.length },
      ...{ volumesPerMinute: 60_000 / ms, voxelsPerSecond: product(size) / (ms / 1000) },
      ...{ flops, flopsPerSecond: rate, ofFma: rate / effort.flopsPerSecond },
    };
  } finally {
    parameters.destroy();
  }
}

async function checkLabels(
  device: Device,
  network: Unet3d,
  parameters: Parameters,
  patch: Triple,
): Promise<VolumeRow['check']> {
  const data = noise(product(patch), 2);
  const { labels } = await slidingWindow(device, network, parameters, { data, shape: patch, channels: 1 }, patch);
  const x = device.tensor([1, ...patch, 1], 'window', { data });
  try {
    const { logits } = await compute(device, (rec) => ({
      logits: rec.noGrad(() => network.forward(rec, parameters, x, { training: false }).logits),
    }));
    let different = 0;
    for (let i = 0; i < labels.length; i++) if (labels[i] !== Number(logits[2 * i + 1] > logits[2 * i])) different++;
    return { voxels: labels.length, different, ok: different <= TIES * labels.length };
  } finally {
    device.destroyTensor(x);
  }
}
