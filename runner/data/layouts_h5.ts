import type { Case, FileSource } from './dataset.ts';
import { type Draft, type Listing, type Shared, stem } from './layouts_listing.ts';
import { error, type Problem, warning } from './problem.ts';

/**
 * The layout of UA-MT, SSL4MIS and ACTION: `<case>/mri_norm2.h5` or `data/<case>.h5`, each with datasets `image` and
 * `label`, and lists `train`, `val`, `test` (.list or .txt) with one case a line, whose order is kept. Without a train
 * list every case that no other list names is for training, in the order of the names.
 */
export async function h5Layout(listing: Listing, source: FileSource, shared: Shared): Promise<Draft> {
  const problems: Problem[] = [];
  const cases = new Map<string, Case>();
  for (const file of listing.files.filter((each) => /\.(h5|hdf5)$/i.test(each))) {
    const id = caseId(file);
    const known = cases.get(id);
    if (known)
      problems.push(error('duplicate', file, `${file} and ${known.images[0]} are both the case ${id}; keep one`));
    else cases.set(id, { id, images: [file], label: file });
  }
  const listed = new Map<string, string>();
  const read = async (list: string) => {
    const file = listFile(listing, list);
    if (!file) return undefined;
    const lines = new TextDecoder().decode(await source.read(file)).split(/\r?\n/);
    const ids = lines
      .map((line) => line.trim())
      .filter(Boolean)
      .map(caseId);
    return ids.flatMap((id) => {
      const item = cases.get(id);
      const before = listed.get(id);
      if (!item)
        problems.push(
          error(
            'missing',
            file,
            `${file} lists the case ${id} but there is no .h5 file of it; restore it or remove the line`,
          ),
        );
      else if (before)
        problems.push(
          error(
            'duplicate',
            file,
            `${file} lists the case ${id}, which ${before === file ? 'it' : before} already lists; keep one line`,
          ),
        );
      if (!item || before) return [];
      listed.set(id, file);
      return [item];
    });
  };
  const test = (await read('test')) ?? [];
  const validation = (await read('val')) ?? [];
  const training = await read('train');
  const others = [...cases.values()].filter((item) => !listed.has(item.id));
  if (training) {
    for (const { images } of others) {
      problems.push(
        warning(
          'unlisted',
          images[0],
          `${images[0]} is in none of the lists and is not used; add it to a list or remove it`,
        ),
      );
    }
  }
  problems.push(
    warning(
      'no-geometry',
      '.',
      'The .h5 files hold no voxel spacing; volumes are taken as 1 x 1 x 1 mm and distances count voxels',
    ),
  );
  return {
    ...shared,
    layout: 'h5',
    channels: [{ name: 'image' }],
    labelled: training ?? others,
    unlabelled: [],
    validation,
    test,
    problems,
  };
}

/** `a/CASE/mri_norm2.h5` is CASE; `data/CASE.h5`, `CASE.h5` and a line `CASE` are CASE as well. */
function caseId(path: string): string {
  const parts = path.split('/');
  return /^mri_norm2?(\.h5)?$/.test(parts.at(-1)!) && parts.length > 1 ? parts.at(-2)! : stem(path);
}

function listFile(listing: Listing, name: string): string | undefined {
  const candidates = listing.files.filter((file) => new RegExp(`(^|/)${name}\\.(list|txt)$`).test(file));
  return candidates.sort((a, b) => a.split('/').length - b.split('/').length || (a < b ? -1 : 1))[0];
}
