import type { Device } from '../../engine/device.ts';
import { ActionError, DataError, FitError } from '../../engine/errors.ts';
import { Parameters, type ParameterValues } from '../../engine/nn/parameters.ts';
import { type Unet3d, unet3d } from '../../engine/nn/unet3d.ts';
import { checkPatch } from '../../engine/nn/unet3d_config.ts';
import { product, sameShape, type Triple } from '../../engine/shape.ts';
import { imageProblems } from '../data/check_volume.ts';
import type { LabelNames } from '../data/nifti.ts';
import { preprocess } from '../data/preprocess.ts';
import { resampleTo } from '../data/resample.ts';
import type { Volume } from '../data/volume.ts';
import type { ModelCard } from './model.ts';
import { type SlidingWindowOptions, slidingWindow, type WindowedPrediction } from './sliding_window.ts';

/** A trained network on the device, and what its outputs mean. */
export interface LoadedModel {
  readonly device: Device;
  readonly card: ModelCard;
  readonly network: Unet3d;
  readonly parameters: Parameters;
}

export interface CasePrediction {
  /** The label's value of every voxel of the image as it was given, [z, y, x], x fastest; uint16 where a value is above 255. */
  readonly labels: Uint8Array | Uint16Array;
  /** Planar [classes, z, y, x] on the same voxels, when asked for. */
  readonly probabilities?: Float32Array;
}

/**
 * Builds the network of a model card and uploads its weights; `parameters.destroy()` frees them.
 *
 * @param name what messages call the model: its file or folder
 * @throws DataError where card and weights do not fit together
 */
export function loadModel(device: Device, card: ModelCard, weights: ParameterValues, name: string): LoadedModel {
  const refuse = (problem: string, cause?: unknown): never => {
    throw new DataError(`${name}: ${problem}`, { cause });
  };
  const { inChannels, classes } = card.network;
  if (card.channels.length !== inChannels || card.labels.length !== classes) {
    refuse(
      `the model card names ${card.channels.length} channels and ${card.labels.length} labels, but its network has ${inChannels} and ${classes}; copy it again from the run it came from`,
    );
  }
  let parameters: Parameters | undefined;
  try {
    const network = unet3d(card.network);
    checkPatch(network.settings.strides, card.patch);
    parameters = Parameters.create(device, network.specs, { trainable: false });
    parameters.load(weights);
    return { device, card, network, parameters };
  } catch (failure) {
    parameters?.destroy();
    if (!(failure instanceof ActionError) || failure instanceof FitError) throw failure;
    return refuse(failure.message, failure);
  }
}

/**
 * Segments one image: preprocessing of the model card, sliding window, back to the image's own voxels. Where the model
 * works at another spacing, the class probabilities are resampled (linearly, one class after the other) and the largest
 * wins; host memory then peaks at the probabilities on the model's grid and 13 bytes a voxel of the image.
 *
 * @param name what messages call the image
 * @throws DataError for an image that is 2D, constant, not finite, or has other channels than the model takes
 */
export async function predictCase(
  model: LoadedModel,
  image: Volume,
  name: string,
  options: SlidingWindowOptions = {},
): Promise<CasePrediction> {
  const { device, card, network, parameters } = model;
  requireUsable(image, card, name);
  const prepared = preprocess(image, null, card.preprocessing);
  const volume = { data: prepared.image, shape: prepared.shape, channels: prepared.channels };
  const resampled = !sameShape(prepared.shape, image.shape);
  const found = await slidingWindow(device, network, parameters, volume, card.patch, {
    ...options,
    probabilities: resampled || options.probabilities,
  });
  const { labels, probabilities } = resampled
    ? onGrid(found.probabilities!, prepared.shape, image.shape, options.probabilities ?? false)
    : found;
  return { labels: toValues(labels, card), ...(options.probabilities && { probabilities }) };
}

/** The labels' names by value, for `writeNifti`. */
export function labelNamesOf({ labels }: ModelCard): LabelNames {
  return Object.fromEntries(labels.map(({ value, name }) => [value, name]));
}

function requireUsable(image: Volume, { channels }: ModelCard, name: string): void {
  if (image.channels !== channels.length) {
    const names = channels.map((channel) => channel.name).join(', ');
    throw new DataError(
      `${name} has ${image.channels} ${image.channels === 1 ? 'channel' : 'channels'} but the model takes ${channels.length} (${names}); give one file for each (CASE_0000, CASE_0001, …) or one 4D file with all`,
    );
  }
  const [problem] = imageProblems(image, name);
  if (problem) throw new DataError(problem.message);
}

/** Argmax over classes that are resampled one at a time; equal probabilities go to the lower class. */
function onGrid(planar: Float32Array, from: Triple, to: Triple, keep: boolean): WindowedPrediction {
  const [voxels, size] = [product(from), product(to)];
  const classes = planar.length / voxels;
  const labels = new Uint8Array(size);
  const highest = new Float32Array(size).fill(-1);
  const probabilities = keep ? new Float32Array(classes * size) : undefined;
  for (let c = 0; c < classes; c++) {
    const values = resampleTo(planar.subarray(c * voxels, (c + 1) * voxels), from, to);
    probabilities?.set(values, c * size);
    for (let i = 0; i < size; i++) {
      if (values[i] <= highest[i]) continue;
      highest[i] = values[i];
      labels[i] = c;
    }
  }
  return { labels, probabilities };
}

function toValues(classes: Uint8Array, { labels }: ModelCard): Uint8Array | Uint16Array {
  const values = labels.map((label) => label.value);
  if (values.every((value, c) => value === c)) return classes;
  const result = Math.max(...values) > 255 ? new Uint16Array(classes.length) : new Uint8Array(classes.length);
  for (let i = 0; i < classes.length; i++) result[i] = values[classes[i]];
  return result;
}
