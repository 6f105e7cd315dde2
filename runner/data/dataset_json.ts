import * as v from 'valibot';
import { DataError } from '../../engine/errors.ts';
import type { Label } from './dataset.ts';

const Entry = v.union([
  v.string(),
  v.looseObject({ image: v.union([v.string(), v.array(v.string())]), label: v.optional(v.string()) }),
]);
const Entries = v.optional(v.array(Entry));

/** What we read of a dataset.json (Decathlon, nnU-Net v2) or a MONAI datalist; other keys are left alone. */
const Schema = v.looseObject({
  name: v.optional(v.string()),
  channel_names: v.optional(v.record(v.string(), v.string())),
  modality: v.optional(v.record(v.string(), v.string())),
  labels: v.optional(v.record(v.string(), v.union([v.number(), v.string(), v.array(v.number())]))),
  labels_map: v.optional(v.record(v.string(), v.number())),
  file_ending: v.optional(v.string()),
  numTraining: v.optional(v.number()),
  dataset: v.optional(
    v.record(v.string(), v.looseObject({ images: v.array(v.string()), label: v.optional(v.string()) })),
  ),
  training: Entries,
  validation: Entries,
  test: Entries,
  testing: Entries,
  unlabeled: Entries,
  unlabelled: Entries,
});

export type DatasetJson = v.InferOutput<typeof Schema>;
export type DatasetEntry = v.InferOutput<typeof Entry>;

/** @throws DataError naming the key and what stands there. */
export function parseDatasetJson(bytes: Uint8Array, file: string): DatasetJson {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw new DataError(`${file} is not valid JSON (${(cause as Error).message}); correct it in an editor`, { cause });
  }
  if (Array.isArray(value)) {
    throw new DataError(
      `${file} holds a list where an object such as {"labels": ...} is needed; correct it in an editor`,
    );
  }
  const result = v.safeParse(Schema, value);
  if (result.success) {
    refuseReserved(value as DatasetJson, result.output, file);
    return result.output;
  }
  const [issue] = result.issues;
  const key = v.getDotPath(issue) ?? 'the whole file';
  throw new DataError(
    `${file}: "${key}" should be ${issue.expected ?? 'something else'} but is ${issue.received}; correct it in an editor`,
  );
}

/** @throws DataError for names that valibot passes over without a word: they mean something else to JavaScript */
function refuseReserved(given: DatasetJson, read: DatasetJson, file: string): void {
  for (const key of ['labels', 'labels_map', 'dataset', 'channel_names', 'modality'] as const) {
    const lost = Object.keys(given[key] ?? {}).find((name) => !Object.hasOwn(read[key] ?? {}, name));
    if (lost !== undefined)
      throw new DataError(`${file}: "${lost}" in "${key}" is a name that JavaScript reserves; give it another`);
  }
}

/**
 * Labels from either spelling: Decathlon's `{"1": "organ"}` or nnU-Net's `{"organ": 1}`; background is added when absent.
 *
 * @throws DataError for regions, the ignore label, values that are not whole numbers from 0, and values given twice.
 */
export function parseLabels(labels: NonNullable<DatasetJson['labels']>, file: string): Label[] {
  const parsed = Object.entries(labels).map(([key, value]): Label => {
    if (Array.isArray(value)) {
      throw new DataError(
        `${file}: the label "${key}" is the region [${value.join(', ')}], which is not supported; give every label one whole number`,
      );
    }
    const named = typeof value === 'number' || (/^\d+$/.test(value) && !/^\d+$/.test(key));
    const label = named ? { value: Number(value), name: key } : { value: Number(key), name: String(value) };
    if (!Number.isInteger(label.value) || label.value < 0 || label.value > 65535) {
      throw new DataError(
        `${file}: the label "${label.name}" has the value ${named ? value : key}; use a whole number from 0 to 65535`,
      );
    }
    return label;
  });
  const ignore = parsed.find((label) => label.name === 'ignore');
  if (ignore) {
    throw new DataError(
      `${file}: the label "ignore" (${ignore.value}) is not supported; label those voxels, or leave the case unlabelled in imagesUn/`,
    );
  }
  if (!parsed.some((label) => label.value === 0)) parsed.push({ value: 0, name: 'background' });
  parsed.sort((a, b) => a.value - b.value);
  const twice = parsed.findIndex((label, i) => i > 0 && label.value === parsed[i - 1].value);
  if (twice > 0) {
    throw new DataError(
      `${file}: the labels "${parsed[twice - 1].name}" and "${parsed[twice].name}" both have the value ${parsed[twice].value}; give each its own`,
    );
  }
  return parsed;
}

/** `labels_map`: values to be replaced when a label is read. @throws DataError for keys and targets that make no sense. */
export function parseLabelsMap(
  map: DatasetJson['labels_map'],
  labels: readonly Label[] | undefined,
  file: string,
): Map<number, number> {
  return new Map(
    Object.entries(map ?? {}).map(([from, to]) => {
      if (!Number.isInteger(Number(from)) || (labels && !labels.some(({ value }) => value === to))) {
        const values = labels?.map(({ value }) => value).join(', ') ?? 'any';
        throw new DataError(
          `${file}: "labels_map" takes ${from} to ${to}; map a whole number to one of the values in "labels" (${values})`,
        );
      }
      return [Number(from), to];
    }),
  );
}

/** Channel names in the order of their numbers. */
export function parseChannels(names: Record<string, string>): { name: string }[] {
  return Object.entries(names)
    .sort(([a], [b]) => Number(a) - Number(b))
    .map(([, name]) => ({ name }));
}
