import type { Case } from './dataset.ts';
import { type DatasetEntry, type DatasetJson, parseChannels } from './dataset_json.ts';
import {
  type Draft,
  emptyFolders,
  type Listing,
  NIFTI,
  type Shared,
  stem,
  UNLABELLED_FOLDERS,
} from './layouts_listing.ts';
import { missing, paired } from './layouts_pairs.ts';
import { error, type Problem, warning } from './problem.ts';

/**
 * Lists of files: the Decathlon's dataset.json (`training: [{image, label}]`, `test: [image]`, several modalities in one 4D
 * file) and MONAI's datalist (`testing`, `validation`). The order of `training` is kept. Test labels are found in labelsTs/.
 * Source: Simpson et al. 2019, arXiv:1902.09063; MONAI Auto3DSeg documentation.
 */
export function listedLayout(listing: Listing, json: DatasetJson, file: string, shared: Shared): Draft {
  const problems: Problem[] = [];
  const cases = (...lists: (DatasetEntry[] | undefined)[]) =>
    lists.flatMap((entries) => (entries ?? []).map((entry) => toCase(listing, entry)));
  const training = cases(json.training);
  const validation = cases(json.validation);
  const unlabelled = cases(json.unlabeled, json.unlabelled);
  const test = cases(json.test, json.testing).map((item) => withTestLabel(listing, item));
  const all = [...training, ...validation, ...unlabelled, ...test];
  const used = new Set(all.flatMap((item) => [...item.images, item.label ?? '']));
  const perCase = filesPerCase(training);
  const folders = UNLABELLED_FOLDERS.flatMap((folder) => paired(listing, folder, '', perCase, problems));
  const found = folders.filter((item) => !used.has(item.images[0]));
  for (const item of all) problems.push(...missing(listing, item, file));
  problems.push(...repeated(all, file), ...unlisted(listing, used, file), ...emptyFolders(listing, UNLABELLED_FOLDERS));
  if (json.numTraining !== undefined && json.numTraining !== training.length) {
    problems.push(
      warning(
        'count-mismatch',
        file,
        `${file} states ${json.numTraining} training cases (numTraining) but lists ${training.length}; check that none is missing, then correct the number`,
      ),
    );
  }
  const channels = json.channel_names ?? json.modality;
  const named = namer(all);
  return {
    ...shared,
    layout: file === 'dataset.json' ? 'decathlon' : 'datalist',
    ...(channels ? { channels: parseChannels(channels) } : {}),
    labelled: training.filter((item) => item.label).map(named),
    validation: validation.filter((item) => item.label).map(named),
    unlabelled: [
      ...[...training, ...validation].filter((item) => !item.label).map(named),
      ...unlabelled.map(named),
      ...found,
    ],
    test: test.map(named),
    problems,
  };
}

function toCase(listing: Listing, entry: DatasetEntry): Case {
  const { image, label } = typeof entry === 'string' ? { image: entry, label: undefined } : entry;
  const images = (Array.isArray(image) ? image : [image]).map(clean).flatMap((path) => channelFiles(listing, path));
  return { id: stem(images[0] ?? '').replace(/_0000$/, ''), images, ...(label ? { label: clean(label) } : {}) };
}

/** nnU-Net lists `CASE.nii.gz` but stores `CASE_0000.nii.gz`, `CASE_0001.nii.gz`, ... */
function channelFiles(listing: Listing, path: string): string[] {
  if (listing.has(path)) return [path];
  const [base, ending] = [path.replace(NIFTI, ''), NIFTI.exec(path)?.[0] ?? ''];
  const channels: string[] = [];
  for (;;) {
    const file = `${base}_${String(channels.length).padStart(4, '0')}${ending}`;
    if (!listing.has(file)) return channels.length > 0 ? channels : [path];
    channels.push(file);
  }
}

function withTestLabel(listing: Listing, item: Case): Case {
  if (item.label) return item;
  const label = [`labelsTs/${item.id}.nii.gz`, `labelsTs/${item.id}.nii`].find((path) => listing.has(path));
  return label ? { ...item, label } : item;
}

function clean(path: string): string {
  return path.replaceAll('\\', '/').replace(/^(\.\/)+/, '');
}

/** How many numbered files (CASE_0000, ...) a case has; 0 where files are not numbered. */
function filesPerCase(training: readonly Case[]): number {
  const [first] = training;
  return first && /_0000$/.test(stem(first.images[0])) ? first.images.length : 0;
}

/** Names cases by their image; where names repeat across folders, by its path. */
function namer(cases: readonly Case[]): (item: Case) => Case {
  const paths = new Map<string, Set<string>>();
  for (const { id, images } of cases) paths.set(id, (paths.get(id) ?? new Set()).add(images[0]));
  return (item) => (paths.get(item.id)!.size > 1 ? { ...item, id: item.images[0].replace(NIFTI, '') } : item);
}

function unlisted(listing: Listing, used: ReadonlySet<string>, file: string): Problem[] {
  return ['imagesTr', 'labelsTr', 'imagesTs']
    .flatMap((folder) => listing.volumes(folder))
    .filter((volume) => !used.has(volume))
    .map((volume) =>
      warning(
        'unlisted',
        volume,
        `${volume} is not listed in ${file} and is not used; list it, or move an image to imagesUn/ to use it without a label`,
      ),
    );
}

function repeated(cases: Case[], file: string): Problem[] {
  const seen = new Set<string>();
  return cases.flatMap((item) => {
    const again = seen.has(item.images[0]);
    seen.add(item.images[0]);
    return again
      ? [error('duplicate', item.images[0], `${item.images[0]} is listed more than once in ${file}; keep one entry`)]
      : [];
  });
}
