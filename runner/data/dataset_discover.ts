import { ActionError } from '../../engine/errors.ts';
import { countValues } from './check_volume.ts';
import type { Dataset, FileSource, Label } from './dataset.ts';
import type { Draft } from './layouts_listing.ts';
import { readVolume } from './load_case.ts';
import { readNiftiHeader } from './nifti.ts';

/** A file with more values than this is no label, and says nothing about which labels there are. */
const MOST_LABELS = 256;

/**
 * Fills in what the layout does not state: channels from the first image that can be read, labels from the values in
 * the label files. Files that cannot be read are passed over; `checkDataset` and `loadCase` report them.
 */
export async function discover(draft: Draft, source: FileSource): Promise<Omit<Dataset, 'root'>> {
  const { problems: _, ...known } = draft;
  const channels = draft.channels ?? (await discoverChannels(draft, source));
  const labels = draft.labels ?? (await discoverLabels(draft, source));
  return { ...known, channels, labels };
}

async function discoverChannels(draft: Draft, source: FileSource): Promise<{ name: string }[]> {
  for (const { images } of [...draft.labelled, ...draft.unlabelled]) {
    let channels = 0;
    for (const file of images) {
      const header = await tolerant(async () => readNiftiHeader(await source.read(file), file));
      channels += header?.channels ?? Number.NaN;
    }
    if (channels > 0) return Array.from({ length: channels }, (_, i) => ({ name: `channel ${i}` }));
  }
  return [{ name: 'channel 0' }];
}

async function discoverLabels({ labelled, validation, test, labelsMap }: Draft, source: FileSource): Promise<Label[]> {
  const values = new Set([0]);
  for (const { label } of [...labelled, ...validation, ...test]) {
    const volume = label && (await tolerant(() => readVolume(source, label, 'label')));
    const found = volume ? [...countValues(volume).keys()] : [];
    if (found.length > MOST_LABELS) continue;
    for (const value of found) if (value >= 0) values.add(labelsMap.get(value) ?? value);
  }
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.map((value) => ({ value, name: value === 0 ? 'background' : `label ${value}` }));
}

async function tolerant<T>(action: () => Promise<T>): Promise<T | undefined> {
  try {
    return await action();
  } catch (failure) {
    if (failure instanceof ActionError) return undefined;
    throw failure;
  }
}
