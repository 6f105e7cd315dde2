/** What tuning keeps of an adapter, as JSON: which way was the fastest for which problems, and what that holds for. */
import * as v from 'valibot';
import { type AdapterIdentity, identityText } from './adapter.ts';

const Text = v.string();
const Identity = v.object({
  ...{ name: Text, vendor: Text, architecture: Text, device: Text, description: Text, backend: Text, webgpu: Text },
}) satisfies v.GenericSchema<unknown, AdapterIdentity>;

const Milliseconds = v.pipe(v.number(), v.minValue(0));

const RecordSchema = v.object({
  /** Of the choice, and of all problems that share their fastest way. */
  op: v.string(),
  key: v.string(),
  /** The problem that was timed, runner/tune/problem_data.ts. */
  problem: v.record(v.string(), v.unknown()),
  /** The way to take; it is `usual` where nothing was faster by more than the noise. */
  way: v.string(),
  usual: v.string(),
  /** Milliseconds of either when they were compared. */
  ms: Milliseconds,
  usualMs: Milliseconds,
  /** Of the way's shaders for this problem: a way whose shaders changed must be timed again. */
  shaders: v.string(),
  /** Of the names of all ways that there were: with another list the problem is to be timed again. */
  ways: v.string(),
});

export type TuningRecord = v.InferOutput<typeof RecordSchema>;

const FORMAT = 'action3d-tuning-1';
const File = v.object({ format: v.literal(FORMAT), adapter: Identity, records: v.array(RecordSchema) });

export interface ParsedTuning {
  readonly records: readonly TuningRecord[];
  /** Why there are none, in a sentence that names the file. */
  readonly warning?: string;
}

/** What a file says about an adapter; nothing, with a warning, where it is damaged or about another one. */
export function parseTuning(text: string | undefined, adapter: AdapterIdentity, file: string): ParsedTuning {
  if (text === undefined) return { records: [] };
  const ignored = (why: string) => ({
    records: [],
    warning: `${file} ${why} and is ignored; action3d tune writes it anew`,
  });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    return ignored(`is damaged (${(cause as Error).message})`);
  }
  const result = v.safeParse(File, value);
  if (!result.success) {
    const [issue] = result.issues;
    return ignored(`is no tuning file ('${v.getDotPath(issue) ?? 'the top level'}' is ${issue.received})`);
  }
  const { adapter: other, records } = result.output;
  if (identityText(other) === identityText(adapter)) return { records };
  return ignored(`was made on another adapter (${other.name}, ${other.backend})`);
}

export function tuningText(adapter: AdapterIdentity, records: readonly TuningRecord[]): string {
  return `${JSON.stringify({ format: FORMAT, adapter, records }, null, 2)}\n`;
}

/** The records of both, those of `found` in place of those of `held` for the same problems. */
export function mergeRecords(held: readonly TuningRecord[], found: readonly TuningRecord[]): TuningRecord[] {
  const merged = new Map([...held, ...found].map((record) => [`${record.op} ${record.key}`, record]));
  return [...merged.values()];
}
