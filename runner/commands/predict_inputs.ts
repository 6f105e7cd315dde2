/** What `predict` is given, files, folders or data sets, as cases. */
import { stat } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join } from 'node:path';
import { DataError, UsageError } from '../../engine/errors.ts';
import { geometryProblems } from '../data/check_volume.ts';
import { scanDataset } from '../data/dataset.ts';
import { stem } from '../data/layouts_listing.ts';
import { mergeChannels, readVolume } from '../data/load_case.ts';
import type { Volume } from '../data/volume.ts';
import { directorySource, exists, readFailure } from '../host/files.ts';

export interface InputCase {
  readonly id: string;
  /** One file for each channel in their order, or one file with all of them. */
  readonly files: readonly string[];
}

const VOLUME = /\.((nii|hdr)(\.gz)?|h5|hdf5)$/i;
const CHANNEL = /^(.+)_(\d{4})$/;

/** Files numbered from zero are taken for channels up to so many, beyond that for scans. */
const MOST_CHANNELS = 10;

/**
 * Files, the volumes directly in a folder, or the test cases of a data set. Files CASE_0000, CASE_0001, … of one folder are
 * the channels of CASE as long as all these numbers are below `channels`; every other file is a case of its own.
 *
 * @throws DataError for paths that hold no volume, and for files that look like several channels where the model takes one;
 * UsageError where two cases would get the same name
 */
export async function findInputs(paths: readonly string[], channels: number): Promise<InputCase[]> {
  const files: string[] = [];
  const cases: InputCase[] = [];
  for (const path of paths) {
    const entry = await stat(path).catch((failure) => {
      throw readFailure(path, failure);
    });
    if (!entry.isDirectory()) files.push(requireVolume(path));
    else {
      const inside = (await directorySource(path).list()).filter((file) => !file.includes('/') && VOLUME.test(file));
      if (inside.length > 0) files.push(...inside.map((file) => join(path, file)));
      else cases.push(...(await testCases(path)));
    }
  }
  const all = [...groupChannels([...new Set(files)], channels), ...cases];
  const first = new Map<string, InputCase>();
  for (const item of all) {
    const twin = first.get(item.id);
    if (twin) {
      throw new UsageError(
        `${twin.files[0]} and ${item.files[0]} are both called ${item.id}; predict them into different folders`,
      );
    }
    first.set(item.id, item);
  }
  return all;
}

/** All channels of a case. `onWarning` is told what is odd but readable. @throws DataError for what cannot be read. */
export async function readInput({ files }: InputCase, onWarning: (sentence: string) => void): Promise<Volume> {
  const volumes: Volume[] = [];
  for (const file of files) {
    const source = directorySource(dirname(file));
    const volume = await readVolume(source, basename(file), 'image', file, (sentence) =>
      onWarning(`${file}: ${sentence}`),
    );
    const [problem] = volumes.length > 0 ? geometryProblems(volumes[0], files[0], volume, file) : [];
    if (problem) throw new DataError(problem.message);
    volumes.push(volume);
  }
  return mergeChannels(volumes);
}

function requireVolume(file: string): string {
  if (VOLUME.test(file)) return file;
  throw new DataError(`${file} is no volume that can be read; give .nii.gz, .nii, .hdr or .h5 files, or a folder`);
}

function groupChannels(files: readonly string[], channels: number): InputCase[] {
  const groups = new Map<string, { id: string; members: Map<number, string> }>();
  for (const file of files) {
    const match = CHANNEL.exec(stem(file));
    const id = match ? match[1] : stem(file);
    const key = match ? join(dirname(file), `${id}_*`) : file;
    const group = groups.get(key) ?? { id, members: new Map<number, string>() };
    groups.set(key, group);
    const channel = match ? Number(match[2]) : 0;
    const twin = group.members.get(channel);
    if (twin) throw new UsageError(`${twin} and ${file} have the same name; keep one of them`);
    group.members.set(channel, file);
  }
  return [...groups.values()].flatMap(({ id, members }): InputCase[] => {
    const numbers = [...members.keys()].sort((a, b) => a - b);
    const ordered = numbers.map((channel) => members.get(channel)!);
    if (numbers.every((channel) => channel < channels)) return [{ id, files: ordered }];
    if (channels === 1) refuseChannels(id, ordered, numbers);
    return ordered.map((file) => ({ id: stem(file), files: [file] }));
  });
}

/** @throws DataError where these are all of CASE_0000 to CASE_000n */
function refuseChannels(id: string, files: readonly string[], numbers: readonly number[]): void {
  const n = numbers.length;
  if (n < 2 || n > MOST_CHANNELS || numbers.some((channel, i) => channel !== i)) return;
  throw new DataError(
    `${files[0]} to ${basename(files[n - 1])} look like ${n} channels of ${id}, but the model takes 1; give only the file of the channel that it was trained on, for example ${files[0]} (scans of their own need names that do not count from _0000)`,
  );
}

async function testCases(folder: string): Promise<InputCase[]> {
  const source = directorySource(folder);
  if (!(await exists(join(folder, 'dataset.json'))) && !(await exists(join(folder, 'imagesTs')))) {
    throw new DataError(`${folder} holds no .nii.gz, .nii, .hdr or .h5 file and is no data set; give another folder`);
  }
  const { dataset } = await scanDataset(source);
  if (dataset.test.length === 0) {
    throw new DataError(`the data set ${folder} has no test images (imagesTs/); give a folder of images`);
  }
  const at = (image: string) => (isAbsolute(image) ? image : join(folder, image));
  return dataset.test.map(({ id, images }) => ({ id, files: images.map(at) }));
}
