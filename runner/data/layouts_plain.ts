import { type Draft, emptyFolders, type Listing, type Shared, stem, UNLABELLED_FOLDERS } from './layouts_listing.ts';
import { labelledCase, paired, withoutLabel } from './layouts_pairs.ts';
import type { Problem } from './problem.ts';

const LABEL_FOLDERS = ['labelsTr', 'labels', 'masks', 'segmentations'];

/**
 * A plain folder: images/ (or imagesTr/) and labels/ paired by name; an image without a label is unlabelled. Images may be
 * one file per channel (CASE_0000, CASE_0001) where the labels are called CASE.
 */
export function plainLayout(listing: Listing, shared: Shared): Draft {
  const problems: Problem[] = [];
  const images = listing.folders.has('imagesTr') ? 'imagesTr' : 'images';
  const labels = LABEL_FOLDERS.find((folder) => listing.folders.has(folder)) ?? '';
  const channels = channelFiles(listing, images, labels);
  const training = paired(listing, images, labels, channels, problems);
  const unlabelled = UNLABELLED_FOLDERS.flatMap((folder) => paired(listing, folder, '', channels, problems));
  const test = paired(listing, 'imagesTs', 'labelsTs', channels, problems);
  if (labels) problems.push(...withoutLabel(training, labels));
  problems.push(...emptyFolders(listing, [images, ...UNLABELLED_FOLDERS]));
  return {
    ...shared,
    layout: 'plain',
    ...(channels > 0 ? { channels: Array.from({ length: channels }, (_, i) => ({ name: `channel ${i}` })) } : {}),
    labelled: training.filter((item) => item.label),
    unlabelled: [...training.filter((item) => !item.label), ...unlabelled],
    validation: [],
    test,
    problems,
  };
}

/** Files per case when the images are called CASE_0000, ... and the labels CASE; else 0. */
function channelFiles(listing: Listing, images: string, labels: string): number {
  const stems = listing.volumes(images).map(stem);
  const whole = new Set(stems);
  const cases = new Set(listing.volumes(labels || 'labels').map((label) => labelledCase(label, (id) => whole.has(id))));
  if (stems.some((name) => cases.has(name))) return 0;
  const numbers = stems
    .map((name) => /^(.+)_(\d{4})$/.exec(name))
    .filter((match) => match && cases.has(match[1]))
    .map((match) => Number(match![2]));
  return numbers.length > 0 ? Math.max(...numbers) + 1 : 0;
}
