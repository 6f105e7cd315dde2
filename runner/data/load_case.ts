import { DataError } from '../../engine/errors.ts';
import { channelProblems, countValues, geometryProblems, imageProblems, labelProblems } from './check_volume.ts';
import type { Case, Dataset, FileSource } from './dataset.ts';
import { readH5 } from './h5.ts';
import { readNifti } from './nifti.ts';
import type { Problem } from './problem.ts';
import type { Volume } from './volume.ts';

const H5 = /\.(h5|hdf5)$/i;
const PAIR = /\.hdr(\.gz)?$/i;

export interface LoadedCase {
  readonly id: string;
  /** All channels. */
  readonly image: Volume;
  /** One channel; a voxel holds its class: the position of its value in `dataset.labels`. */
  readonly label?: Volume;
}

/**
 * Reads a case: channels merged, label (where the case names one) on the image's voxels, values mapped to classes.
 *
 * @throws DataError for the first thing that `checkDataset` would call an error in these files.
 */
export async function loadCase(dataset: Dataset, item: Case, source: FileSource): Promise<LoadedCase> {
  const name = (file: string) => displayName(source, file);
  const [first] = item.images;
  const channels: Volume[] = [];
  for (const file of item.images) {
    const volume = await readVolume(source, file, 'image');
    channels.push(volume);
    refuse([...geometryProblems(channels[0], name(first), volume, name(file)), ...imageProblems(volume, name(file))]);
  }
  const image = mergeChannels(channels);
  refuse(channelProblems(image, name(first), dataset));
  if (!item.label) return { id: item.id, image };
  const label = await readVolume(source, item.label, 'label');
  refuse([
    ...geometryProblems(image, name(first), label, name(item.label)),
    ...labelProblems(countValues(label), name(item.label), dataset),
  ]);
  return { id: item.id, image, label: { ...label, data: toClasses(label.data, dataset) } };
}

function refuse(problems: readonly Problem[]): void {
  for (const problem of problems) if (problem.severity === 'error') throw new DataError(problem.message);
}

/** One file of a case, NIfTI or .h5. @throws DataError also where an .h5 file has no label. */
export async function readVolume(
  source: FileSource,
  file: string,
  role: 'image' | 'label',
  name = displayName(source, file),
  onWarning?: (sentence: string) => void,
): Promise<Volume> {
  const bytes = await source.read(file);
  if (H5.test(file)) {
    const volume = await readH5(bytes, name, role);
    if (volume) return volume;
    throw new DataError(`${name} has no dataset "label"; add it, or take the case out of the lists of labelled cases`);
  }
  const voxels = PAIR.test(file) ? await source.read(file.replace(PAIR, '.img$1')) : undefined;
  return readNifti(bytes, name, { role, image: voxels, onWarning });
}

/** Voxels of several volumes on the same grid as the channels of one. */
export function mergeChannels(volumes: readonly Volume[]): Volume {
  if (volumes.length === 1) return volumes[0];
  const data = new Float32Array(volumes.reduce((sum, volume) => sum + volume.data.length, 0));
  let at = 0;
  for (const volume of volumes) {
    data.set(volume.data, at);
    at += volume.data.length;
  }
  return { ...volumes[0], data, channels: volumes.reduce((sum, volume) => sum + volume.channels, 0) };
}

function toClasses(values: Float32Array, { labels, labelsMap }: Pick<Dataset, 'labels' | 'labelsMap'>): Float32Array {
  if (labelsMap.size === 0 && labels.every((label, i) => label.value === i)) return values;
  const classes = new Map(labels.map((label, i) => [label.value, i]));
  return values.map((value) => classes.get(labelsMap.get(value) ?? value)!);
}

function displayName(source: FileSource, file: string): string {
  return `${source.root}/${file}`;
}
