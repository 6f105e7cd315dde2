/** The ways that were found to be the fastest on an adapter, as its devices take them. */
import { Device } from '../../engine/device.ts';
import { dryGpu } from '../../engine/dry_gpu.ts';
import type { ChooseWay } from '../../engine/ways.ts';
import type { AdapterIdentity, TunedAdapter } from './adapter.ts';
import { mergeRecords, parseTuning, type TuningRecord, tuningText } from './records.ts';
import { shaderHash, textHash } from './shader_hash.ts';
import type { TuningStore } from './store.ts';
import { TUNABLES, type Tunable } from './tunables.ts';

/** A way that was found to be the fastest, as run folders keep it; the usual one too, as other problems of the key may have another. */
export interface ChosenWay {
  readonly op: string;
  readonly key: string;
  readonly way: string;
}

export interface Tuning {
  readonly adapter: AdapterIdentity;
  readonly store: TuningStore;
  readonly choose: ChooseWay;
  /** Records whose ways still have the shaders that were timed. */
  valid(): readonly TuningRecord[];
  /** The valid record of a problem. */
  record(op: string, key: string): TuningRecord | undefined;
  /** What `choose` takes. */
  chosen(): readonly ChosenWay[];
  /** Adds to what is stored, by this and by other processes. */
  add(found: readonly TuningRecord[]): Promise<void>;
}

export interface TuningOptions {
  readonly store: TuningStore;
  readonly identity: AdapterIdentity;
  readonly adapter: TunedAdapter;
  /** Replaced by tests. */
  readonly tunables?: readonly Tunable[];
}

/** Reads what is stored; `warn` is told why it cannot be used. */
export async function openTuning(options: TuningOptions, warn: (sentence: string) => void): Promise<Tuning> {
  const { store, identity, adapter, tunables = TUNABLES } = options;
  const text = await store.read().catch((failure: Error) => {
    warn(`${store.name} cannot be read (${failure.message}) and is ignored; action3d tune --clear removes it`);
    return undefined;
  });
  const { records, warning } = parseTuning(text, identity, store.name);
  if (warning) warn(warning);
  const known = new Map(records.map((record) => [keyOf(record), record]));
  const dry = new Device(dryGpu(adapter.limits), adapter);
  const verdicts = new Map<TuningRecord, boolean>();
  const isValid = (record: TuningRecord) => {
    const verdict = verdicts.get(record) ?? sameShaders(dry, tunables, record);
    verdicts.set(record, verdict);
    return verdict;
  };
  const valid = () => [...known.values()].filter(isValid);
  return {
    ...{ adapter: identity, store, valid },
    choose(op, key) {
      const record = known.get(`${op} ${key}`);
      return record && isValid(record) ? record.way : undefined;
    },
    record(op, key) {
      const record = known.get(`${op} ${key}`);
      return record && isValid(record) ? record : undefined;
    },
    chosen: () => valid().map(({ op, key, way }) => ({ op, key, way })),
    async add(found) {
      for (const record of found) known.set(keyOf(record), record);
      await store.update((held) => {
        const { records: others } = parseTuning(held, identity, store.name);
        return tuningText(identity, mergeRecords(others, found));
      });
    },
  };
}

/** Takes exactly these ways. */
export function chooseAmong(chosen: readonly ChosenWay[]): ChooseWay {
  const ways = new Map(chosen.map((item) => [keyOf(item), item.way]));
  return (op, key) => ways.get(`${op} ${key}`);
}

/** Of the names of all ways of an op. */
export function waysHash({ choice }: Tunable): string {
  return textHash(choice.ways.map(({ name }) => name).join('\n'));
}

const keyOf = ({ op, key }: { readonly op: string; readonly key: string }) => `${op} ${key}`;

/** False also for what no version of action3d wrote: a way that is gone, a problem that it cannot compute. */
function sameShaders(
  dry: Device,
  tunables: readonly Tunable[],
  { op, way: name, problem, shaders }: TuningRecord,
): boolean {
  const way = tunables.find(({ choice }) => choice.op === op)?.choice.ways.find((item) => item.name === name);
  try {
    return way !== undefined && shaderHash(dry, way, problem) === shaders;
  } catch {
    return false;
  }
}
