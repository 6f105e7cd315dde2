import { DataError } from '../../engine/errors.ts';
import type { Case } from './dataset.ts';
import { type DatasetJson, parseChannels } from './dataset_json.ts';
import { type Draft, emptyFolders, type Listing, type Shared, UNLABELLED_FOLDERS } from './layouts_listing.ts';
import { missing, paired, withoutLabel } from './layouts_pairs.ts';
import { type Problem, warning } from './problem.ts';

/**
 * nnU-Net v2: `imagesTr/CASE_0000.nii.gz` (one file per channel), `labelsTr/CASE.nii.gz`, `imagesTs`, `labelsTs`, and our
 * `imagesUn/`. Endings are taken per file (.nii or .nii.gz). A case without a label counts as unlabelled.
 * Source: nnU-Net v2, documentation/dataset_format.md.
 */
export function nnunetLayout(listing: Listing, json: DatasetJson, file: string, shared: Shared): Draft {
  if (!shared.labels) {
    throw new DataError(`${file} has no "labels"; add them, for example "labels": {"background": 0, "organ": 1}`);
  }
  const channels = parseChannels(json.channel_names ?? { 0: 'image' });
  const problems: Problem[] = [];
  const training = json.dataset
    ? referenced(listing, json.dataset, problems)
    : paired(listing, 'imagesTr', 'labelsTr', channels.length, problems);
  const unlabelled = UNLABELLED_FOLDERS.flatMap((folder) => paired(listing, folder, '', channels.length, problems));
  const test = paired(listing, 'imagesTs', 'labelsTs', channels.length, problems);
  const labelled = training.filter((item) => item.label);
  if (training.length === 0) unsupportedEnding(listing, json, file);
  if (json.numTraining !== undefined && ![labelled.length, training.length].includes(json.numTraining)) {
    problems.push(
      warning(
        'count-mismatch',
        'dataset.json',
        `dataset.json states ${json.numTraining} labelled cases (numTraining) but there are ${labelled.length}; check that none is missing, then correct the number`,
      ),
    );
  }
  if (!json.dataset) problems.push(...withoutLabel(training, 'labelsTr'));
  problems.push(...emptyFolders(listing, UNLABELLED_FOLDERS));
  return {
    ...shared,
    layout: 'nnunet',
    channels,
    labelled,
    unlabelled: [...training.filter((item) => !item.label), ...unlabelled],
    validation: [],
    test,
    problems,
  };
}

/** The `dataset` key: cases whose files lie anywhere. */
function referenced(listing: Listing, entries: NonNullable<DatasetJson['dataset']>, problems: Problem[]): Case[] {
  return Object.entries(entries).map(([id, { images, label }]): Case => {
    const files = images.map((image) => image.replace(/^\.\//, ''));
    const item: Case = label ? { id, images: files, label: label.replace(/^\.\//, '') } : { id, images: files };
    problems.push(...missing(listing, item, 'dataset.json'));
    return item;
  });
}

function unsupportedEnding(listing: Listing, json: DatasetJson, file: string): void {
  const other = listing.files.find((each) => each.startsWith('imagesTr/'));
  if (!other) return;
  throw new DataError(
    `${file} states the file ending ${json.file_ending ?? '(none)'} and imagesTr/ holds files such as ${other}; convert images and labels to .nii.gz`,
  );
}
