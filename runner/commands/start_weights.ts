/** --from: the weights that a run starts from. */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { DataError } from '../../engine/errors.ts';
import type { State } from '../../engine/nn/state.ts';
import { readSafetensors } from '../data/safetensors.ts';
import { readFailure } from '../host/files.ts';
import { decodeWeights } from '../predict/model.ts';
import { CHECKPOINT_FORMAT, decodeCheckpoint } from '../train/checkpoint.ts';
import { bytesHash } from '../train/config.ts';
import { RUN_FILES } from '../train/run_store.ts';

export interface StartWeights {
  /** The file they are from. */
  readonly file: string;
  /** At least 'student'. */
  readonly groups: State;
  /** Checksum of the file. */
  readonly hash: string;
}

/**
 * Reads a run folder's latest checkpoint or else its weights, or a file of either kind.
 *
 * @throws DataError where there is none, UsageError for a path that does not exist
 */
export async function startWeights(path: string): Promise<StartWeights> {
  const file = await weightsFile(path);
  const bytes = await readFile(file).catch((failure) => {
    throw readFailure(file, failure);
  });
  const isCheckpoint = readSafetensors(bytes, file).metadata.format === CHECKPOINT_FORMAT;
  const groups = isCheckpoint
    ? decodeCheckpoint(bytes, file).groups
    : new Map([['student', decodeWeights(bytes, file)]]);
  return { file, groups, hash: await bytesHash(bytes) };
}

async function weightsFile(path: string): Promise<string> {
  const found = await stat(path).catch((failure) => {
    throw readFailure(path, failure);
  });
  if (!found.isDirectory()) return path;
  for (const name of [RUN_FILES.latest, RUN_FILES.weights]) {
    const file = join(path, name);
    if (await stat(file).catch(() => undefined)) return file;
  }
  throw new DataError(
    `${path} holds neither ${RUN_FILES.latest} nor ${RUN_FILES.weights}; give --from a run folder, one of its checkpoints or its weights`,
  );
}
