/** A run folder belongs to one configuration and one split; both are written by the first start and asked of the next. */
import { readdir, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import { DataError, UsageError } from '../../engine/errors.ts';
import { readSafetensors } from '../data/safetensors.ts';
import type { Split } from '../data/splits.ts';
import { runFolder } from '../host/run_folder.ts';
import { CHECKPOINT_FORMAT } from '../train/checkpoint.ts';
import type { TrainConfig } from '../train/config.ts';
import { RUN_FILES, type RunStore } from '../train/run_store.ts';

const Ids = v.array(v.string());

/** Written to split.json. */
const SavedSplit = v.looseObject({ hash: v.string(), labelled: Ids, unlabelled: Ids, validation: Ids, test: Ids });
type SplitIds = v.InferOutput<typeof SavedSplit>;

/** Written to config.json; which options there are is for the comparison to tell. */
const SavedConfig = v.custom<object>(
  (value) => typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length > 0,
);

/** What tells the config.json of a run from those of other programs. */
const CONFIG_KEYS = ['method', 'steps', 'patch', 'network'];
/** What tells a data set. */
const DATASET_NAMES = ['dataset.json', 'imagesTr', 'images'];

/**
 * A run folder is empty, holds a run, or holds nothing that a run would write or that belongs to a data set. A run that lost its
 * config.json counts as one by its split.json or its latest checkpoint.
 *
 * @throws UsageError for any other, with --force too, which replaces runs and nothing else
 */
export async function assertRunFolder(folder: string, dataset: string): Promise<void> {
  const names = await readdir(folder).catch((): string[] => []); // writing tells what is wrong with a place
  if (names.length === 0) return;
  const store = runFolder(folder);
  const config = await store.read(RUN_FILES.config);
  const problem = config && notConfig(config);
  if ((config && !problem) || (await hasSplit(store)) || (await hasCheckpoint(store))) return;
  const elsewhere = 'choose another folder for -o';
  const place = await realpath(folder);
  const mark = DATASET_NAMES.find((name) => names.includes(name));
  if (place === (await realpath(dataset).catch(() => undefined)) || mark) {
    throw new UsageError(
      `${folder} is a data set${mark ? ` (it holds ${mark})` : ''}, and a run does not belong there; ${elsewhere}`,
    );
  }
  if (problem) throw new UsageError(`${store.name}/${RUN_FILES.config} is not a run's: ${problem}; ${elsewhere}`);
  const taken = names.filter((name) => Object.values<string>(RUN_FILES).includes(name)).sort();
  const checkpoints = await readdir(join(folder, 'checkpoints')).catch((): string[] => []);
  if (checkpoints.some((name) => !name.startsWith('.'))) taken.unshift('checkpoints/');
  if (taken.length === 0) return;
  throw new UsageError(
    `${folder} holds ${taken.join(', ')} but no ${RUN_FILES.config} of a run, and only a run is continued or replaced; ${elsewhere}, or move ${taken.length > 1 ? 'these' : 'it'} away`,
  );
}

/** What shows that bytes are not a run's configuration; nothing where they are one. */
function notConfig(bytes: Uint8Array): string | undefined {
  const value = parsedJson(bytes);
  if (value === undefined) return 'it is not JSON';
  if (!v.is(SavedConfig, value)) return 'it has no entries';
  const missing = CONFIG_KEYS.filter((key) => !(key in value));
  return missing.length > 0 ? `it has no '${missing[0]}'` : undefined;
}

async function hasSplit(store: RunStore): Promise<boolean> {
  const bytes = await store.read(RUN_FILES.split);
  return bytes !== undefined && v.is(SavedSplit, parsedJson(bytes));
}

async function hasCheckpoint(store: RunStore): Promise<boolean> {
  const bytes = await store.read(RUN_FILES.latest);
  try {
    return bytes !== undefined && readSafetensors(bytes, RUN_FILES.latest).metadata.format === CHECKPOINT_FORMAT;
  } catch (failure) {
    if (failure instanceof DataError) return false;
    throw failure;
  }
}

/** Undefined where the bytes are not JSON. */
function parsedJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}

/**
 * @throws UsageError with both values of what differs from the run in the folder, DataError for a damaged file of it;
 * nothing is written then
 */
export async function claimRun(store: RunStore, config: TrainConfig, split: Split): Promise<void> {
  const now = idsOf(split);
  const savedConfig = await readSaved(store, RUN_FILES.config, SavedConfig);
  const savedSplit = await readSaved(store, RUN_FILES.split, SavedSplit);
  const differences = [
    ...(savedConfig ? differing(unsaved(savedConfig), unsaved(config)) : []),
    ...(savedSplit ? splitDifferences(savedSplit, now) : []),
  ];
  if (differences.length > 0) {
    throw new UsageError(
      `${store.name} holds a run with other options: ${differences.join('; ')}; use the same options to continue it, another folder, or --force to replace it`,
    );
  }
  await store.write(RUN_FILES.config, json(config));
  await store.write(RUN_FILES.split, json(now));
}

function idsOf({ hash, labelled, unlabelled, validation, test }: Split): SplitIds {
  const ids = (cases: readonly { id: string }[]) => cases.map(({ id }) => id);
  return {
    hash,
    labelled: ids(labelled),
    unlabelled: ids(unlabelled),
    validation: ids(validation),
    test: ids(test),
  };
}

/** How often a run saves may change. */
function unsaved(config: unknown): unknown {
  const { checkpointEvery: _, ...rest } = config as TrainConfig;
  return rest;
}

/** `name is a there and b now` for every leaf that differs. */
function differing(there: unknown, now: unknown, path = ''): string[] {
  const both = [there, now].every((v) => typeof v === 'object' && v !== null && !Array.isArray(v));
  if (!both) {
    const texts = [there, now].map((value) => (value === undefined ? 'absent' : JSON.stringify(value)));
    return texts[0] === texts[1] ? [] : [`${path} is ${texts[0]} there and ${texts[1]} now`];
  }
  const [left, right] = [there, now] as Record<string, unknown>[];
  const keys = new Set([...Object.keys(left), ...Object.keys(right)]);
  return [...keys].flatMap((key) => differing(left[key], right[key], path ? `${path}.${key}` : key));
}

function splitDifferences(there: SplitIds, now: SplitIds): string[] {
  if (there.hash === now.hash) return [];
  const parts = ['labelled', 'unlabelled', 'validation', 'test'] as const;
  return parts.flatMap((part) => {
    const [a, b] = [there[part], now[part]];
    if (JSON.stringify(a) === JSON.stringify(b)) return [];
    if (a.length !== b.length) return [`${part} cases are ${a.length} there and ${b.length} now`];
    const at = a.findIndex((id, i) => id !== b[i]);
    return [`${part} case ${at + 1} is ${a[at]} there and ${b[at]} now`];
  });
}

/** Undefined where there is no such file. */
async function readSaved<T>(store: RunStore, path: string, schema: v.GenericSchema<T>): Promise<T | undefined> {
  const bytes = await store.read(path);
  return bytes && parseSaved(store, path, bytes, schema);
}

/** What bytes of a run's file say. @throws DataError with the ways out where that is nothing of ours */
export function parseSaved<T>(store: RunStore, path: string, bytes: Uint8Array, schema: v.GenericSchema<T>): T {
  const damaged = (what: string, cause?: unknown) =>
    new DataError(
      `${store.name}/${path} is damaged (${what}); restore it, remove it to have it written anew by the options that the run had, or start again with --force`,
      { cause },
    );
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw damaged((cause as Error).message, cause);
  }
  const result = v.safeParse(schema, value);
  if (result.success) return result.output;
  const [issue] = result.issues;
  const key = v.getDotPath(issue);
  throw damaged(
    key === null
      ? `it holds ${JSON.stringify(value).slice(0, 40)} where an object with entries is needed`
      : issue.received === 'undefined'
        ? `'${key}' is missing`
        : `'${key}' is ${issue.received} where ${issue.expected} is needed`,
  );
}

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
