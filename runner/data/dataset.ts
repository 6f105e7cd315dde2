import { DataError } from '../../engine/errors.ts';
import { discover } from './dataset_discover.ts';
import { layoutOf } from './layouts.ts';
import type { Draft } from './layouts_listing.ts';
import { error, type Problem } from './problem.ts';

/** Where a data set's files come from: a folder on disk, a browser's directory handle, a list of dropped files. */
export interface FileSource {
  /** How people call it, used in messages: a path or a folder's name. */
  readonly root: string;
  /** Relative paths with `/`, in any order; a folder that holds no file at all appears with a trailing `/`. */
  list(): Promise<string[]>;
  read(path: string): Promise<Uint8Array>;
  /** Bytes. */
  size(path: string): Promise<number>;
}

/** One patient or scan. */
export interface Case {
  readonly id: string;
  /** One file per channel, or one file that holds them all. */
  readonly images: readonly string[];
  readonly label?: string;
}

export interface Label {
  readonly value: number;
  readonly name: string;
}

export type Layout = 'nnunet' | 'decathlon' | 'datalist' | 'plain' | 'h5';

export interface Dataset {
  readonly name: string;
  readonly root: string;
  readonly layout: Layout;
  readonly channels: readonly { readonly name: string }[];
  /** Sorted by value; background (0) first. A voxel's class is the position in this list, whatever the value. */
  readonly labels: readonly Label[];
  /** Values to be replaced when a label is read (`labels_map` of dataset.json). */
  readonly labelsMap: ReadonlyMap<number, number>;
  /** Training cases with a label, in the order of the list; those of plain folders in the order of their names. */
  readonly labelled: readonly Case[];
  readonly unlabelled: readonly Case[];
  /** Labelled cases that the data set itself sets aside for validation (`val.list`, `validation`). */
  readonly validation: readonly Case[];
  /** Test cases, with labels where they are known. */
  readonly test: readonly Case[];
}

/**
 * Recognises the layout and lists the cases, without stopping at problems that leave a data set to speak of.
 * Voxels are read only where the layout states no labels or channels (plain folders, .h5).
 *
 * @throws DataError where nothing can be made of the folder: no known layout, or a dataset.json that does not parse.
 */
export async function scanDataset(source: FileSource): Promise<{ dataset: Dataset; problems: Problem[] }> {
  const draft = await layoutOf(source);
  const found = await discover(draft, source);
  return { dataset: { ...found, root: source.root }, problems: [...draft.problems, ...repeatedIds(draft)] };
}

/** Two training cases of one name could not be told apart in lists and logs. */
function repeatedIds({ labelled, unlabelled, validation }: Draft): Problem[] {
  const first = new Map<string, string>();
  return [...labelled, ...unlabelled, ...validation].flatMap(({ id, images: [image] }) => {
    const known = first.get(id);
    if (!known) first.set(id, image);
    if (!known || known === image) return [];
    return [
      error('duplicate', image, `${image} and ${known} are two training cases called ${id}; rename or remove one`),
    ];
  });
}

/** As `scanDataset`, for those who want to use the data set. @throws DataError with the first error in it. */
export async function parseDataset(source: FileSource): Promise<Dataset> {
  const { dataset, problems } = await scanDataset(source);
  const errors = problems.filter((problem) => problem.severity === 'error');
  if (errors.length === 0) return dataset;
  const more = errors.length > 1 ? ` (and ${errors.length - 1} more; \`action3d check\` lists them all)` : '';
  throw new DataError(`${source.root}: ${errors[0].message}${more}`);
}
