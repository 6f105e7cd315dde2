import { closeSync, mkdirSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import { DataError, FitError } from '../../engine/errors.ts';
import type { KeepVoxels, StoredVoxels } from '../data/voxels.ts';
import { bytes } from '../report/format.ts';
import { readFailure, writeFailure } from './files.ts';

/** Bytes that one call of the operating system moves at most. */
const MOST_AT_ONCE = 2 ** 30;
const FILE = '.prepared.tmp';

/** Images in memory, and beyond a number of bytes in a file. */
export interface VoxelShelf {
  readonly keep: KeepVoxels;
  /** Bytes so far. */
  readonly held: { readonly memory: number; readonly file: number };
  /** Frees the file; what was kept there can no longer be read. */
  close(): void;
}

/** Half of the memory that this process may use. */
export function memoryForVoxels(): number {
  const constrained = process.constrainedMemory?.() || Infinity;
  return Math.floor(Math.min(totalmem(), constrained) / 2);
}

/** Errors: FitError where the probabilities of whole volumes, which stay in memory, take more than half of it. */
export function assertRoomForLabels(labels: number, memory = memoryForVoxels()): void {
  if (labels <= memory) return;
  throw new FitError(
    `the pseudo-labels of whole unlabelled volumes take ${bytes(labels)} of memory, more than the ${bytes(memory)} that is half of this machine's; use action.stage2.pseudo=patch, a coarser preprocessing.spacing, or fewer unlabelled cases`,
  );
}

/**
 * What happens to images that exceed `memory`, as a sentence; undefined where they do not.
 * @throws FitError where the disk of `folder`, which exists, has no room for the rest
 */
export async function roomForImages(folder: string, images: number, memory: number): Promise<string | undefined> {
  if (images <= memory) return undefined;
  const { bavail, bsize } = await statfs(folder);
  const [rest, free] = [images - memory, bavail * bsize];
  const sentence = `the prepared images take ${bytes(images)}, more than the ${bytes(memory)} of memory for them (--memory)`;
  if (rest <= free) return `${sentence}: ${bytes(rest)} go into a file in ${folder} while the run lasts`;
  throw new FitError(
    `${sentence}, and the disk of ${folder} has ${bytes(free)} free for the other ${bytes(rest)}; take a larger disk, more memory, or a coarser preprocessing.spacing`,
  );
}

/**
 * Keeps images in memory while all of them together have at most `memory` bytes, the others in a file in `folder` that has no
 * name, so that it is gone when the process ends, however it ends; where an open file must have one (Windows), what a killed
 * process left is replaced by the next. From `keep`: FitError for a full disk, UsageError for a folder that cannot be written;
 * from reading DataError.
 */
export function voxelShelf(folder: string, memory: number): VoxelShelf {
  const held = { memory: 0, file: 0 };
  let file: number | undefined;
  const path = join(folder, FILE);
  return {
    held,
    keep(values) {
      if (held.memory + values.byteLength <= memory) {
        held.memory += values.byteLength;
        return values;
      }
      try {
        file ??= openNameless(folder, path);
        write(file, values, held.file);
      } catch (failure) {
        throw writeFailure(path, failure);
      }
      const stored = storedAt(file, held.file, values.length, path);
      held.file += values.byteLength;
      return stored;
    },
    close() {
      if (file === undefined) return;
      closeSync(file);
      file = undefined;
      rmSync(path, { force: true });
    },
  };
}

function openNameless(folder: string, path: string): number {
  mkdirSync(folder, { recursive: true });
  rmSync(path, { force: true }); // of a process that was killed, or a link
  const file = openSync(path, 'wx+');
  try {
    rmSync(path);
  } catch {
    // Windows, and file systems that cannot take the name off an open file: close() does.
  }
  return file;
}

function write(file: number, values: Float32Array, at: number): void {
  const raw = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  for (let done = 0; done < raw.length; )
    done += writeSync(file, raw, done, Math.min(MOST_AT_ONCE, raw.length - done), at + done);
}

function storedAt(file: number, start: number, length: number, path: string): StoredVoxels {
  return {
    length,
    read(from, target) {
      const raw = new Uint8Array(target.buffer, target.byteOffset, target.byteLength);
      for (let done = 0; done < raw.length; ) {
        const most = Math.min(MOST_AT_ONCE, raw.length - done);
        const read = reading(path, () => readSync(file, raw, done, most, start + 4 * from + done));
        if (read === 0) throw new DataError(`${path} has become shorter; start the same command again`);
        done += read;
      }
    },
  };
}

function reading<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (failure) {
    throw readFailure(path, failure);
  }
}
