import { DataError } from '../../engine/errors.ts';
import type { FileSource } from './dataset.ts';
import { type DatasetJson, parseDatasetJson, parseLabels, parseLabelsMap } from './dataset_json.ts';
import { h5Layout } from './layouts_h5.ts';
import { listedLayout } from './layouts_listed.ts';
import { type Draft, type Listing, makeListing, type Shared } from './layouts_listing.ts';
import { nnunetLayout } from './layouts_nnunet.ts';
import { plainLayout } from './layouts_plain.ts';

/** Chooses the layout by what lies in the folder. @throws DataError where it is none of ours. */
export async function layoutOf(source: FileSource): Promise<Draft> {
  const listing = makeListing(await source.list());
  const name = source.root.split(/[\\/]/).filter(Boolean).at(-1) ?? source.root;
  const h5 = listing.files.some((file) => /\.(h5|hdf5)$/i.test(file));
  const file = listing.has('dataset.json') ? 'dataset.json' : await findDatalist(listing, source);
  const json = file ? parseDatasetJson(await source.read(file), inRoot(source, file)) : {};
  const shared = { name: json.name || name, ...labelsOf(json, inRoot(source, file ?? '')) };
  if (file && json.training) return listedLayout(listing, json, file, shared);
  if (file && (json.channel_names || json.dataset)) return nnunetLayout(listing, json, inRoot(source, file), shared);
  if (h5) return h5Layout(listing, source, shared);
  if (listing.folders.has('images') || listing.folders.has('imagesTr')) return plainLayout(listing, shared);
  throw unknownLayout(listing, source);
}

function labelsOf(json: DatasetJson, file: string): Omit<Shared, 'name'> {
  const labels = json.labels && parseLabels(json.labels, file);
  return { ...(labels ? { labels } : {}), labelsMap: parseLabelsMap(json.labels_map, labels, file) };
}

/** A MONAI datalist: the one .json at the top that has a `training` list. */
async function findDatalist(listing: Listing, source: FileSource): Promise<string | undefined> {
  for (const file of listing.files) {
    if (!/^[^/]+\.json$/.test(file) || (await source.size(file)) > 64 * 2 ** 20) continue;
    const text = new TextDecoder().decode(await source.read(file));
    if (/"training"\s*:\s*\[/.test(text)) return file;
  }
  return undefined;
}

function inRoot(source: FileSource, file: string): string {
  return `${source.root}/${file}`;
}

function unknownLayout(listing: Listing, source: FileSource): DataError {
  const nested = listing.files.find((file) => /^[^/]+\/dataset\.json$/.test(file));
  if (nested) {
    return new DataError(
      `${source.root} is not a data set itself but holds one; give ${inRoot(source, nested.replace('/dataset.json', ''))}`,
    );
  }
  const count = listing.files.length;
  const holds = count === 0 ? 'no file' : `${count} file${count > 1 ? 's' : ''} such as ${listing.files[0]}`;
  return new DataError(
    `${source.root} holds ${holds}${count === 0 ? ':' : ', but'} no dataset.json that lists cases, no images/ or imagesTr/ folder and no .h5 case; put the NIfTI images into images/ and their labels, under the same names, into labels/`,
  );
}
