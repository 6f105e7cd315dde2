import type { Case } from './dataset.ts';
import { type Listing, stem } from './layouts_listing.ts';
import { error, type Problem, warning } from './problem.ts';

const SUFFIX = /[_-](label|labels|seg|segmentation|mask|gt)$/i;

/**
 * Cases of an image folder, in the order of their names, with the label of the same name where there is one. A label's
 * name may end in `_label`, `_seg`, `_mask` or `_gt`.
 *
 * @param labels folder, or '' where no labels are expected.
 * @param channels files per case, named CASE_0000, CASE_0001, ...; 0 where every file is a case of its own.
 */
export function paired(
  listing: Listing,
  images: string,
  labels: string,
  channels: number,
  problems: Problem[],
): Case[] {
  const groups = group(listing.volumes(images), channels, problems);
  const byCase = new Map<string, string>();
  for (const label of labels ? listing.volumes(labels) : []) {
    const id = labelledCase(label, (each) => groups.has(each));
    const known = byCase.get(id);
    if (known) problems.push(error('duplicate', label, `${label} and ${known} are labels of the same case; keep one`));
    else byCase.set(id, label);
  }
  const cases = [...groups].map(([id, files]): Case => {
    const label = byCase.get(id);
    return label ? { id, images: files, label } : { id, images: files };
  });
  for (const label of [...byCase].filter(([id]) => !groups.has(id)).map(([, file]) => file)) {
    problems.push(
      warning(
        'no-image',
        label,
        `${label} has no image in ${images}/ and is not used; add the image or remove the label`,
      ),
    );
  }
  return cases;
}

/** The case a label belongs to. */
export function labelledCase(label: string, isCase: (id: string) => boolean): string {
  const name = stem(label);
  return isCase(name) ? name : name.replace(SUFFIX, '');
}

/** A warning for each training case that has no label and is therefore used as unlabelled. */
export function withoutLabel(cases: readonly Case[], labels: string): Problem[] {
  return cases
    .filter((item) => !item.label)
    .map(({ id, images }) =>
      warning(
        'no-label',
        images[0],
        `${images[0]} has no label in ${labels}/ and is used as unlabelled; add ${labels}/${id}.nii.gz if it has one`,
      ),
    );
}

function group(files: string[], channels: number, problems: Problem[]): Map<string, string[]> {
  const groups = new Map<string, Map<number, string>>();
  for (const file of files) {
    const match = channels > 0 ? /^(.+)_(\d{4})$/.exec(stem(file)) : null;
    const [id, channel] = match ? [match[1], Number(match[2])] : [stem(file), 0];
    const members = groups.get(id) ?? new Map<number, string>();
    groups.set(id, members);
    const known = members.get(channel);
    if (known) problems.push(error('duplicate', file, `${file} and ${known} have the same name; keep one`));
    else members.set(channel, file);
  }
  const result = new Map<string, string[]>();
  for (const [id, members] of groups) {
    const present = [...members.keys()].sort((a, b) => a - b);
    const images = present.map((channel) => members.get(channel)!);
    if (channels > 0 && (present.length !== channels || present.at(-1) !== channels - 1)) {
      problems.push(error('channels', images[0], wrongChannels(id, members, channels)));
    }
    result.set(id, images);
  }
  return result;
}

/** `members` are the files of the case by their channels, which are not 0 to `channels` - 1. */
function wrongChannels(id: string, members: ReadonlyMap<number, string>, channels: number): string {
  const present = [...members.keys()].sort((a, b) => a - b);
  const wanted = [...Array(channels).keys()];
  const absent = wanted.filter((channel) => !members.has(channel));
  const surplus = present.filter((channel) => channel >= channels).map((channel) => members.get(channel)!);
  const name = members.get(present[0])!.replace(/[^/]*$/, id);
  const remedies = [
    ...(absent.length > 0 ? [`add ${absent.map((n) => `${id}_${String(n).padStart(4, '0')}.nii.gz`).join(', ')}`] : []),
    ...(surplus.length > 0 ? [`remove ${surplus.join(', ')}`] : []),
  ];
  return `${name} has ${numbers('channel', present)} but should have ${numbers('channel', wanted)}; ${remedies.join(' and ')}, or correct "channel_names" in dataset.json`;
}

function numbers(word: string, values: number[]): string {
  return `${word}${values.length === 1 ? '' : 's'} ${values.join(', ')}`;
}

/** An error for each file of the case that the folder does not hold; paths that leave the folder are judged when read. */
export function missing(listing: Listing, item: Case, list: string): Problem[] {
  return [...item.images, ...(item.label ? [item.label] : [])]
    .filter((file) => !listing.has(file) && !/^(\/|\.\.\/|[A-Za-z]:)/.test(file))
    .map((file) =>
      error('missing', file, `${file} is listed in ${list} but does not exist; restore the file or remove its entry`),
    );
}
