import type { Case, Label, Layout } from './dataset.ts';
import { type Problem, warning } from './problem.ts';

/** What a layout tells before any voxel is read; without labels or channels the layout does not state them. */
export interface Draft {
  readonly layout: Layout;
  readonly name: string;
  readonly channels?: readonly { readonly name: string }[];
  readonly labels?: readonly Label[];
  readonly labelsMap: ReadonlyMap<number, number>;
  readonly labelled: readonly Case[];
  readonly unlabelled: readonly Case[];
  readonly validation: readonly Case[];
  readonly test: readonly Case[];
  readonly problems: Problem[];
}

/** The files of a data set, hidden ones (`._a.nii.gz` of macOS archives) left out. */
export interface Listing {
  readonly files: readonly string[];
  readonly folders: ReadonlySet<string>;
  has(path: string): boolean;
  /** NIfTI files directly inside the folder. */
  volumes(folder: string): string[];
}

export const NIFTI = /\.(nii|hdr)(\.gz)?$/i;

/** The file's name without folder and ending. */
export function stem(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1).replace(/\.((nii|hdr)(\.gz)?|h5|hdf5)$/i, '');
}

/** What a layout takes over from the folder and from its dataset.json. */
export type Shared = Pick<Draft, 'name' | 'labels' | 'labelsMap'>;

export function makeListing(paths: string[]): Listing {
  const visible = paths.filter((path) => !/(^|\/)\./.test(path)).sort();
  const files = visible.filter((path) => !path.endsWith('/'));
  const all = new Set(files);
  const folders = new Set(
    visible.flatMap((path) => path.split('/').map((_, i, parts) => parts.slice(0, i).join('/'))).filter(Boolean),
  );
  return {
    files,
    folders,
    has: (path) => all.has(path),
    volumes: (folder) =>
      files.filter(
        (file) => file.startsWith(`${folder}/`) && !file.slice(folder.length + 1).includes('/') && NIFTI.test(file),
      ),
  };
}

/** A warning for each folder that is meant for unlabelled images and holds none. */
export function emptyFolders(listing: Listing, folders: readonly string[]): Problem[] {
  return folders
    .filter((folder) => listing.folders.has(folder) && listing.volumes(folder).length === 0)
    .map((folder) =>
      warning(
        'empty-folder',
        `${folder}/`,
        `${folder}/ holds no .nii or .nii.gz file; put the unlabelled images there or remove the folder`,
      ),
    );
}

/** Folders whose images are used without labels. */
export const UNLABELLED_FOLDERS = ['imagesUn', 'unlabelled', 'unlabeled'] as const;
