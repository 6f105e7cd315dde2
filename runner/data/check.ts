import { ActionError } from '../../engine/errors.ts';
import { type Examined, setProblems } from './check_set.ts';
import { channelProblems, count, countValues, geometryProblems, imageProblems, labelProblems } from './check_volume.ts';
import { type Case, type Dataset, type FileSource, scanDataset } from './dataset.ts';
import { mergeChannels, readVolume } from './load_case.ts';
import { error, type Problem, warning } from './problem.ts';
import type { Volume } from './volume.ts';

export interface CheckReport {
  readonly root: string;
  /** Absent where the folder cannot be opened as a data set at all. */
  readonly dataset?: Dataset;
  /** Volumes read. */
  readonly files: number;
  readonly problems: readonly Problem[];
  readonly errors: number;
  readonly warnings: number;
}

export interface CheckOptions {
  /** Told after each volume. */
  readonly onFile?: (done: number, total: number) => void;
}

/** Reads every volume of a data set once, one after the other, and reports every problem; never stops at one. */
export async function checkDataset(source: FileSource, options: CheckOptions = {}): Promise<CheckReport> {
  let scan: Awaited<ReturnType<typeof scanDataset>>;
  try {
    scan = await scanDataset(source);
  } catch (failure) {
    if (!(failure instanceof ActionError)) throw failure;
    return report(source, undefined, 0, [error('layout', '.', failure.message)]);
  }
  const { dataset, problems } = scan;
  const missing = new Set(problems.filter(({ kind }) => kind === 'missing').map(({ file }) => file));
  const miscounted = new Set(problems.filter(({ kind }) => kind === 'channels').map(({ file }) => file));
  const parts = [
    ...dataset.labelled.map((item) => ({ item, part: 'labelled' as const })),
    ...dataset.unlabelled.map((item) => ({ item, part: 'unlabelled' as const })),
    ...dataset.validation.map((item) => ({ item, part: 'validation' as const })),
    ...dataset.test.map((item) => ({ item, part: 'test' as const })),
  ];
  const total = parts.reduce((sum, { item }) => sum + item.images.length + (item.label ? 1 : 0), 0);
  let done = 0;
  const read = async (file: string, role: 'image' | 'label'): Promise<Volume | undefined> => {
    if (missing.has(file)) return undefined;
    try {
      return await readVolume(source, file, role, file, (sentence) => {
        // One slice is an error of its own.
        if (!sentence.startsWith('2D ')) problems.push(warning('header', file, `${file}: ${sentence}`));
      });
    } catch (failure) {
      if (!(failure instanceof ActionError)) throw failure;
      problems.push(error('unreadable', file, failure.message));
      return undefined;
    } finally {
      done++;
      options.onFile?.(done, total);
    }
  };
  const examined: Examined[] = [];
  for (const { item, part } of parts) {
    const { image, counts, found } = await examine(dataset, item, read);
    // Too few or too many files were reported by their names.
    problems.push(...found.filter(({ kind, file }) => kind !== 'channels' || !miscounted.has(file)));
    examined.push({ part, file: item.images[0], counts, image: image && measure(image) });
  }
  problems.push(...setProblems(dataset, examined));
  return report(source, dataset, done, problems);
}

/** The problems of one case's files. */
async function examine(
  dataset: Dataset,
  item: Case,
  read: (file: string, role: 'image' | 'label') => Promise<Volume | undefined>,
): Promise<{ image?: Volume; counts?: Map<number, number>; found: Problem[] }> {
  const found: Problem[] = [];
  const [first] = item.images;
  const channels: Volume[] = [];
  let complete = true;
  for (const file of item.images) {
    const volume = await read(file, 'image');
    const misplaced = volume && channels[0] ? geometryProblems(channels[0], first, volume, file) : [];
    found.push(...misplaced, ...(volume ? imageProblems(volume, file) : []));
    if (volume && misplaced.length === 0) channels.push(volume);
    else complete = false;
  }
  const image = complete ? mergeChannels(channels) : undefined;
  if (image) found.push(...channelProblems(image, first, dataset));
  if (!item.label) return { image, found };
  const label = await read(item.label, 'label');
  if (!label) return { image, found };
  const counts = countValues(label);
  if (channels[0]) found.push(...geometryProblems(channels[0], first, label, item.label));
  found.push(...labelProblems(counts, item.label, dataset));
  return { image, counts, found };
}

function measure(image: Volume): Examined['image'] {
  const constant = image.data.every((value) => value === image.data[0]);
  return {
    axes: image.source.axes,
    spacing: image.spacing,
    fingerprint: constant ? undefined : fingerprint(image.data),
  };
}

/** Two 32-bit lanes over the voxels: equal images have equal strings. */
function fingerprint(data: Float32Array): string {
  let a = 0x811c9dc5;
  let b = 0x9e3779b9;
  for (const word of new Uint32Array(data.buffer, data.byteOffset, data.length)) {
    a = Math.imul(a ^ word, 0x01000193);
    b = Math.imul(b ^ word, 0x85ebca6b);
    b ^= b >>> 13;
  }
  return `${data.length}:${a >>> 0}:${b >>> 0}`;
}

function report(source: FileSource, dataset: Dataset | undefined, files: number, problems: Problem[]): CheckReport {
  const errors = problems.filter(({ severity }) => severity === 'error');
  const warnings = problems.filter(({ severity }) => severity === 'warning');
  return {
    root: source.root,
    dataset,
    files,
    problems: [...errors, ...warnings],
    errors: errors.length,
    warnings: warnings.length,
  };
}

/** Parts of a data set in words: "24 training cases (4 labelled, 20 unlabelled), 8 test cases". */
export function describeParts({ labelled, unlabelled, validation, test }: Dataset): string {
  const training = labelled.length + unlabelled.length;
  const parts = [`${count(training, 'training case')} (${labelled.length} labelled, ${unlabelled.length} unlabelled)`];
  if (validation.length > 0) parts.push(count(validation.length, 'validation case'));
  if (test.length > 0) parts.push(count(test.length, 'test case'));
  return parts.join(', ');
}
