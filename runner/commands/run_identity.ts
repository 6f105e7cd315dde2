/** A run folder belongs to one configuration and one split; both are written by the first start and asked of the next. */
import * as v from 'valibot';
import { DataError, UsageError } from '../../engine/errors.ts';
import type { Split } from '../data/splits.ts';
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
