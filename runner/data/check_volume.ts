import type { Dataset, Label } from './dataset.ts';
import { error, type Problem, warning } from './problem.ts';
import { findNonFinite, geometryDifference, type Volume } from './volume.ts';

/** More different values than this in a label that dataset.json does not explain: it is an image. */
const MOST_LABELS = 64;

/** Too few or too many channels. */
export function channelProblems(image: Volume, file: string, { channels }: Pick<Dataset, 'channels'>): Problem[] {
  if (image.channels === channels.length) return [];
  const names = channels.map((channel) => channel.name).join(', ');
  return [
    error(
      'channels',
      file,
      `${file} has ${count(image.channels, 'channel')} but the data set has ${channels.length} (${names}); export the missing ones or correct "channel_names" in dataset.json`,
    ),
  ];
}

/** What makes the voxels of an image unfit for training: 2D, NaN and infinite voxels, no contrast. */
export function imageProblems(image: Volume, file: string): Problem[] {
  const problems: Problem[] = [];
  if (Math.min(...image.shape) === 1) {
    problems.push(
      error(
        'not-3d',
        file,
        `${file} is 2D (shape [z, y, x] ${image.shape}); give a volume of at least 2 slices, or stack the slices into one`,
      ),
    );
  }
  const odd = findNonFinite(image);
  if (odd) {
    const share = `${odd.count} of ${image.data.length} voxels`;
    problems.push(
      error(
        'not-finite',
        file,
        `${file} has ${share} that are NaN or infinite (the first, ${odd.value}, at [z, y, x] ${odd.voxel}); replace them by numbers, for example the background's`,
      ),
    );
  }
  const size = image.data.length / image.channels;
  for (let channel = 0; channel < image.channels; channel++) {
    const voxels = image.data.subarray(channel * size, (channel + 1) * size);
    if (!voxels.every((value) => value === voxels[0])) continue;
    const where = image.channels > 1 ? `every voxel of channel ${channel}` : 'every voxel';
    problems.push(
      error('constant', file, `${file} has the value ${voxels[0]} in ${where}; export it again or remove the case`),
    );
  }
  return problems;
}

/** Shape and place of a label (or a further channel) against the image. */
export function geometryProblems(image: Volume, imageFile: string, other: Volume, file: string): Problem[] {
  const difference = geometryDifference(other, image);
  if (!difference) return [];
  const remedy = difference.startsWith('shape')
    ? 'check that the two belong together, then resample one onto the other'
    : 'check that the two belong together, then resample it, or copy the header if the voxels do line up';
  return [error('geometry', file, `${file} does not lie on the voxels of ${imageFile}: ${difference}; ${remedy}`)];
}

/** Voxels of each value, in the order of the values. */
export function countValues(label: Volume): Map<number, number> {
  const counts = new Map<number, number>();
  let last = label.data[0];
  let run = 0;
  for (const value of label.data) {
    if (value !== last) {
      counts.set(last, (counts.get(last) ?? 0) + run);
      [last, run] = [value, 0];
    }
    run++;
  }
  counts.set(last, (counts.get(last) ?? 0) + run);
  return new Map([...counts].sort(([a], [b]) => a - b));
}

/** Values that the data set does not name, and labels without foreground. */
export function labelProblems(
  counts: ReadonlyMap<number, number>,
  file: string,
  { labels, labelsMap }: Pick<Dataset, 'labels' | 'labelsMap'>,
): Problem[] {
  const values = [...counts.keys()];
  const known = new Set(labels.map((label) => label.value));
  const outside = values.filter((value) => !known.has(labelsMap.get(value) ?? value));
  if (outside.length > MOST_LABELS) {
    return [
      error(
        'not-a-label',
        file,
        `${file} has ${values.length} different values from ${values[0]} to ${values.at(-1)}, like an image and not like a label; check that it is in the right folder`,
      ),
    ];
  }
  if (outside.length > 0) {
    const allowed = labels.map((label) => label.value);
    return [
      error(
        'label-values',
        file,
        `${file} has the labels {${values.join(', ')}} but the data set names {${allowed.join(', ')}}; ${remedy(values, outside, labels)}`,
      ),
    ];
  }
  if (values.every((value) => (labelsMap.get(value) ?? value) === 0)) {
    return [
      warning(
        'background',
        file,
        `${file} holds nothing but background (0 in all ${counts.get(values[0])} voxels); check that it is the right file, and leave the case unlabelled if nobody has drawn it`,
      ),
    ];
  }
  return [];
}

/** A mapping that would explain the values, as {0, 255} for {0, 1}, or how to find one. */
function remedy(values: readonly number[], outside: readonly number[], labels: readonly Label[]): string {
  const named = labels.map((label) => label.value).filter((value) => value !== 0);
  const found = values.filter((value) => value !== 0);
  const inOrder = found.length === named.length && found.every((value) => value >= 0);
  if (inOrder) {
    const pairs = outside.map((value) => `"${value}": ${named[found.indexOf(value)]}`);
    return `if they mean the same in that order, add "labels_map": {${pairs.join(', ')}} to dataset.json`;
  }
  const example = `"labels_map": {"${outside[0]}": 0}`;
  return `name ${outside.join(', ')} in "labels", or map ${outside.length > 1 ? 'them' : 'it'} to a named value, for example ${example}`;
}

export function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? '' : 's'}`;
}
