import { DataError, UsageError } from '../../engine/errors.ts';
import type { ParameterValues } from '../../engine/nn/parameters.ts';
import { readSafetensors, type SafeTensor, writeSafetensors } from '../data/safetensors.ts';
import { RUN_FILES } from './run_store.ts';

/** Everything an exact resume needs. Random draws are functions of (seed, step), so no generator state is among it. */
export interface Checkpoint {
  /** Steps completed. */
  readonly step: number;
  /** Hash of the run's configuration and split; a checkpoint only continues the run it came from. */
  readonly hash: string;
  /** Hash of the voxels and labels it was trained on. */
  readonly data: string;
  /** Name of the stage that the groups belong to. */
  readonly stage: string;
  /** Best validation score so far and its step, when there was a validation. */
  readonly best: { readonly dice: number; readonly step: number } | null;
  /** By group: 'student', 'optimiser.network.velocity', 'teacher', … */
  readonly groups: ReadonlyMap<string, ParameterValues>;
}

export const CHECKPOINT_FORMAT = 'action3d-checkpoint-2';
const KEYS = ['format', 'step', 'hash', 'data', 'stage', 'best'];

/** One safetensors file: tensors `group/name`, the rest as metadata. */
export function encodeCheckpoint(checkpoint: Checkpoint): Uint8Array {
  const tensors = new Map<string, SafeTensor>();
  for (const [group, values] of checkpoint.groups) {
    for (const [name, { shape, data }] of values)
      tensors.set(`${group}/${name}`, { dtype: 'F32', shape, data: data as Float32Array<ArrayBuffer> });
  }
  return writeSafetensors(tensors, {
    format: CHECKPOINT_FORMAT,
    step: String(checkpoint.step),
    hash: checkpoint.hash,
    data: checkpoint.data,
    stage: checkpoint.stage,
    best: JSON.stringify(checkpoint.best),
  });
}

/** The inverse. Errors: DataError, with the ways out, for a damaged file or one that is no checkpoint. */
export function decodeCheckpoint(bytes: Uint8Array, name: string): Checkpoint {
  const { tensors, metadata } = readSafetensors(bytes, name, remedyFor(name));
  if (metadata.format !== CHECKPOINT_FORMAT) {
    throw new DataError(
      `${name} is not a checkpoint (format '${metadata.format ?? 'none'}', expected '${CHECKPOINT_FORMAT}'); give the run it belongs to`,
    );
  }
  const unknown = Object.keys(metadata).find((key) => !KEYS.includes(key)); // a damaged name of the checksum, for one
  if (unknown !== undefined || !KEYS.every((key) => key in metadata)) {
    throw new DataError(
      `${name} is damaged: its metadata are ${Object.keys(metadata).join(', ')} where a checkpoint has ${KEYS.join(', ')}; ${remedyFor(name)}`,
    );
  }
  const groups = new Map<string, ParameterValues>();
  for (const [key, { shape, data }] of tensors) {
    const slash = key.indexOf('/');
    const group = key.slice(0, slash);
    if (!groups.has(group)) groups.set(group, new Map());
    groups.get(group)!.set(key.slice(slash + 1), { shape, data: data as Float32Array });
  }
  const { hash, data, stage } = metadata;
  return { step: Number(metadata.step), hash, data, stage, best: JSON.parse(metadata.best), groups };
}

/** The network that predicts, which every method has. */
export function studentOf(groups: Checkpoint['groups']): ParameterValues {
  const student = groups.get('student');
  if (student) return student;
  throw new DataError(`the checkpoint holds no student but ${[...groups.keys()].join(', ')}; give another one`);
}

/** What to do about a damaged checkpoint: the two of a run stand in for each other. */
function remedyFor(name: string): string {
  if (name.endsWith(RUN_FILES.latest)) {
    const best = name.slice(0, -RUN_FILES.latest.length) + RUN_FILES.best;
    return `copy ${best} over it, where there is one, to continue from its step, or remove it to start over from step 0 (nothing else in the folder is lost)`;
  }
  if (name.endsWith(RUN_FILES.best)) return 'remove it, and the weights of the latest checkpoint are used instead';
  return 'use a copy of it or an earlier one';
}

/** Throws UsageError when a checkpoint belongs to another configuration or split. */
export function assertSameRun(checkpoint: Checkpoint, hash: string, name: string): void {
  if (checkpoint.hash === hash) return;
  throw new UsageError(
    `${name} belongs to a run of another configuration or data split (${checkpoint.hash}, this one is ${hash}); use its options again or another run folder`,
  );
}

/** Throws DataError when the volumes are not those that the checkpoint was trained on. */
export function assertSameData(checkpoint: Checkpoint, data: string, name: string): void {
  if (checkpoint.data === data) return;
  throw new DataError(
    `the volumes or labels have changed since ${name} was written (their hash was ${checkpoint.data} and is ${data}); put the files back, or start a new run folder for the new ones`,
  );
}
