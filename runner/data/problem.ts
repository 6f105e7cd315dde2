/** One thing that is wrong, or odd, with a data set: a whole sentence that names the file, the values and the remedy. */
export interface Problem {
  readonly severity: 'error' | 'warning';
  readonly kind: ProblemKind;
  /** The file or folder, relative to the data set. */
  readonly file: string;
  readonly message: string;
}

/** Every kind of problem, and how a group of them is introduced when there are too many to print one by one. */
export const KINDS = {
  layout: 'the data set cannot be opened',
  missing: 'listed but not there; restore them or remove their entries',
  unlisted: 'there but not listed, so not used; list them, or move them to imagesUn/ to use them without labels',
  'no-label': 'no label, so used as unlabelled; add their labels if they have any',
  'no-image': 'labels without an image, not used; add the images or remove the labels',
  duplicate: 'there more than once; keep one of each',
  'test-in-training': 'test cases that are used for training too; remove them from one of the two',
  channels: 'wrong number of channels; give every case one image per channel',
  'count-mismatch': 'not the number of cases that dataset.json states; correct it',
  'empty-folder': 'no volume in them; fill or remove the folders',
  'no-labelled': 'no labelled case',
  unreadable: 'cannot be read; export or download them again',
  header: 'odd headers',
  'not-3d': '2D images; give volumes of at least 2 slices',
  'not-finite': 'NaN or infinite voxels; replace them by numbers',
  constant: 'every voxel the same; export them again or remove them',
  geometry: 'not on the voxels of their image; check the pairs, or resample them',
  'label-values': 'label values that dataset.json does not name; correct the files or add "labels_map" to dataset.json',
  'not-a-label': 'look like images, not labels; check the folders',
  background: 'nothing but background; check that they are the right files',
  'absent-class': 'no label shows them',
  orientation: 'different orientations; handled automatically',
  spacing: 'voxel spacing far from the median; they are resampled for training',
  'same-voxels': 'the same voxels as another image; remove the copies',
  'no-geometry': 'no voxel spacing',
} as const;

export type ProblemKind = keyof typeof KINDS;

export function error(kind: ProblemKind, file: string, message: string): Problem {
  return { severity: 'error', kind, file, message };
}

export function warning(kind: ProblemKind, file: string, message: string): Problem {
  return { severity: 'warning', kind, file, message };
}
