import { DataError, UsageError } from '../../engine/errors.ts';
import { formatShape, product, type Triple } from '../../engine/shape.ts';
import { resampleNearest, resampleTo, targetGrid } from './resample.ts';
import type { Volume } from './volume.ts';

/** What is done to a volume before the network sees it; part of a run's configuration. Triples are [z, y, x]. */
export interface Preprocessing {
  /** Millimetres to resample to; null keeps each volume's own. */
  readonly spacing: Triple | null;
  /** 'z-score': (x - mean) / std of the volume, then clipped. 'ct': window in HU, then (x - mean) / std, not clipped. */
  readonly normalisation: 'z-score' | 'ct';
  /** Standard deviations at which a z-score is cut off on both sides; null does not cut. Default 4. */
  readonly clip?: number | null;
  /** [low, high] in HU, for 'ct'. */
  readonly window?: readonly [number, number];
  /** Of the data set's voxels inside the window, for 'ct'; without it each volume's own. */
  readonly mean?: number;
  readonly std?: number;
}

/** A case as patches are cut from it. Voxels are planar, x fastest: image [C][z][y][x], label [z][y][x]. */
export interface Prepared {
  readonly id?: string;
  readonly channels: number;
  readonly shape: Triple;
  readonly image: Float32Array<ArrayBuffer>;
  /** Class of each voxel; null where the case has no label. */
  readonly label: Uint8Array<ArrayBuffer> | null;
  /** Exact millimetres along z, y, x, after resampling. */
  readonly spacing: Triple;
  /** Channels with the same value in every voxel, which became zeros. */
  readonly constantChannels: readonly number[];
}

/**
 * Resamples (image linear, label nearest) over the same box of space, then normalises each channel by itself with float64
 * sums. Voxels must be finite (`findNonFinite`). The volumes are not changed.
 *
 * @throws DataError where label and image differ in shape or a label is no class 0..255; UsageError for a configuration
 * that no volume could satisfy.
 */
export function preprocess(image: Volume, label: Volume | null, config: Preprocessing, id?: string): Prepared {
  const name = id ? `case ${id}` : 'the case';
  const grid = targetGrid(image, config.spacing);
  const resampled = resampleTo(image.data, image.shape, grid.shape);
  const data = resampled === image.data ? image.data.slice() : resampled;
  const voxels = product(grid.shape);
  const constantChannels: number[] = [];
  for (let c = 0; c < image.channels; c++) {
    const values = data.subarray(c * voxels, (c + 1) * voxels);
    const constant = config.normalisation === 'ct' ? normaliseCt(values, config) : normalise(values, config.clip);
    if (constant) constantChannels.push(c);
  }
  if (label?.shape.some((n, axis) => n !== image.shape[axis])) {
    throw new DataError(
      `${name}: the label has shape ${formatShape(label.shape)} [z, y, x] and the image ${formatShape(image.shape)}; export both on the same voxels`,
    );
  }
  return {
    ...(id !== undefined && { id }),
    channels: image.channels,
    ...grid,
    image: data as Float32Array<ArrayBuffer>,
    label: label && (resampleNearest(classesOf(label.data, name), image.shape, grid.shape) as Uint8Array<ArrayBuffer>),
    constantChannels,
  };
}

/** (x - mean) / std in place, cut off at +-clip; zeros, and true, where all voxels are equal. */
function normalise(values: Float32Array, clip: number | null = 4): boolean {
  const { mean, std, low, high } = moments(values);
  if (low === high) {
    values.fill(0);
    return true;
  }
  const bound = clip ?? Infinity;
  for (let i = 0; i < values.length; i++) values[i] = Math.min(Math.max((values[i] - mean) / std, -bound), bound);
  return false;
}

function normaliseCt(values: Float32Array, { window, mean, std }: Preprocessing): boolean {
  const [low, high] = window ?? [-Infinity, Infinity];
  if (!(low < high)) throw new UsageError(`the CT window [${low}, ${high}] is empty; give [low, high] in HU`);
  for (let i = 0; i < values.length; i++) values[i] = Math.min(Math.max(values[i], low), high);
  const own = moments(values);
  if (own.low === own.high) {
    values.fill(0);
    return true;
  }
  const shift = mean ?? own.mean;
  const scale = std ?? own.std;
  if (!(scale > 0)) throw new UsageError(`the CT standard deviation is ${scale}; give one above 0, or none`);
  for (let i = 0; i < values.length; i++) values[i] = (values[i] - shift) / scale;
  return false;
}

/** Population mean and standard deviation in two passes, and the range. */
export function moments(values: Float32Array): { mean: number; std: number; low: number; high: number } {
  let sum = 0;
  let low = Infinity;
  let high = -Infinity;
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    sum += value;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  const mean = sum / values.length;
  let squares = 0;
  for (let i = 0; i < values.length; i++) squares += (values[i] - mean) ** 2;
  return { mean, std: Math.sqrt(squares / values.length), low, high };
}

function classesOf(values: Float32Array, name: string): Uint8Array {
  const classes = Uint8Array.from(values);
  for (let i = 0; i < values.length; i++) {
    if (classes[i] === values[i]) continue;
    throw new DataError(`${name}: label value ${values[i]} is no class; classes are whole numbers from 0 to 255`);
  }
  return classes;
}
