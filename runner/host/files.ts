import { randomUUID } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { ActionError, DataError, FitError, UsageError } from '../../engine/errors.ts';
import type { FileSource } from '../data/dataset.ts';

/** Deeper folders belong to no data set. */
const MOST_LEVELS = 8;

/** A folder on disk. Links are followed. @throws DataError from its methods, naming the path and what to do. */
export function directorySource(directory: string): FileSource {
  const at = (path: string) => resolve(directory, path);
  return {
    root: directory,
    list: () => reading(directory, () => listFolder(directory, '', 0)),
    read: (path) => reading(at(path), () => readRegular(at(path))),
    size: (path) => reading(at(path), async () => (await stat(at(path))).size),
  };
}

/** @throws DataError for a pipe or a device, whose end may never come */
async function readRegular(path: string): Promise<Uint8Array> {
  const entry = await stat(path);
  if (!entry.isFile() && !entry.isDirectory()) {
    throw new DataError(`${path} is no regular file (a pipe, a socket or a device); copy what it holds into a file`);
  }
  return readFile(path);
}

async function listFolder(root: string, folder: string, level: number): Promise<string[]> {
  if (level > MOST_LEVELS) return [];
  const paths: string[] = [];
  for (const name of (await readdir(join(root, folder))).sort()) {
    if (name.startsWith('.')) continue;
    const path = folder ? `${folder}/${name}` : name;
    const entry = await stat(join(root, path)).catch(() => undefined);
    if (entry?.isDirectory()) paths.push(...(await listFolder(root, path, level + 1)));
    else paths.push(path);
  }
  return paths.length === 0 && folder ? [`${folder}/`] : paths;
}

export interface WriteOptions {
  /** Replace a file that is there; without it that is an error. */
  readonly overwrite?: boolean;
}

/**
 * Writes a file completely or not at all: into a temporary file in the same folder, flushed, then renamed. The folder is
 * made when needed. A reader, or a process killed at any moment, sees the old file or the new one.
 *
 * @throws UsageError for a path that exists or cannot be written; FitError for a full disk, quota or file-size limit.
 */
export async function writeFileAtomic(
  path: string,
  bytes: Uint8Array | string,
  options: WriteOptions = {},
): Promise<void> {
  if (!options.overwrite && (await exists(path))) {
    throw new UsageError(existsAlready(path));
  }
  await writing(path, async () => {
    await makeFolder(dirname(path));
    const temporary = temporaryIn(dirname(path), path);
    try {
      const file = await open(temporary, 'wx');
      try {
        await file.writeFile(bytes);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, path);
    } catch (failure) {
      await rm(temporary, { force: true });
      throw failure;
    }
  });
}

/**
 * Finds out before long work whether writeFileAtomic could write there, and leaves nothing behind.
 *
 * @throws UsageError for a path that is a folder, exists or cannot be written; FitError for a full disk.
 */
export async function assertWritable(path: string, options: WriteOptions = {}): Promise<void> {
  const there = await stat(path).catch(() => undefined);
  if (there?.isDirectory()) {
    throw new UsageError(`${path} cannot be written because there is a folder of that name; give a file in it`);
  }
  if (there && !options.overwrite) throw new UsageError(existsAlready(path));
  let folder = dirname(path);
  while (!(await exists(folder)) && dirname(folder) !== folder) folder = dirname(folder);
  await writing(path, async () => {
    const temporary = temporaryIn(folder, path);
    await (await open(temporary, 'wx')).close();
    await rm(temporary);
  });
}

const existsAlready = (path: string) => `${path} exists already; give another place or --force to replace it`;

const temporaryIn = (folder: string, path: string) => join(folder, `.${basename(path)}.${randomUUID()}.tmp`);

/**
 * Makes the folder, or takes one that holds nothing. `remedy` goes on with what else could be done where it holds something.
 *
 * @throws UsageError where it holds something or is a file
 */
export async function makeEmptyFolder(path: string, remedy = ''): Promise<void> {
  await writing(path, async () => {
    await makeFolder(path);
    const held = (await readdir(path)).filter((name) => name !== '.DS_Store');
    if (held.length === 0) return;
    throw new UsageError(
      `${path} is not empty (it holds ${held.slice(0, 3).join(', ')}${held.length > 3 ? ` and ${held.length - 3} more` : ''}); give a new or empty folder${remedy}`,
    );
  });
}

/** As `mkdir -p`. Node's own says ENOENT where the disk is read-only, and never ends in places such as /proc. */
export async function makeFolder(path: string): Promise<void> {
  const make = async () => {
    try {
      await mkdir(path);
    } catch (failure) {
      const there = await stat(path).catch(() => undefined);
      if (!there?.isDirectory()) throw failure;
    }
  };
  try {
    await make();
  } catch (failure) {
    if ((failure as NodeJS.ErrnoException).code !== 'ENOENT' || dirname(path) === path) throw failure;
    await makeFolder(dirname(path));
    await make();
  }
}

export async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

async function reading<T>(path: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (failure) {
    throw readFailure(path, failure);
  }
}

async function writing<T>(path: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (failure) {
    throw writeFailure(path, failure);
  }
}

/** What a failed read means for the user. */
export function readFailure(path: string, failure: unknown): unknown {
  const { code, message } = failure as NodeJS.ErrnoException;
  const remedies: Record<string, string> = {
    ENOENT: `${path} does not exist; check the path`,
    ENOTDIR: `${path} is a file where a folder is needed; give the folder that holds it`,
    EISDIR: `${path} is a folder where a file is needed; give one of the files in it`,
    EACCES: `${path} may not be read by this user; change its permissions`,
    EPERM: `${path} may not be read by this user; change its permissions`,
    ERR_FS_FILE_TOO_LARGE: `${path} is larger than the 2 GiB that can be read; crop or compress it`,
  };
  if (failure instanceof ActionError || !code) return failure;
  return new DataError(remedies[code] ?? `${path} cannot be read (${message}); check the disk`, { cause: failure });
}

/** What a failed write means for the user. */
export function writeFailure(path: string, failure: unknown): unknown {
  const { code, message } = failure as NodeJS.ErrnoException;
  if (failure instanceof ActionError || !code) return failure;
  const full: Record<string, string> = {
    ENOSPC: 'the disk is full',
    EDQUOT: 'the disk quota is used up',
    EFBIG: 'it is larger than the file system or the limit of this process allows',
  };
  if (full[code]) {
    return new FitError(`${path} cannot be written because ${full[code]}; free some space or give another place`, {
      cause: failure,
    });
  }
  const reasons: Record<string, string> = {
    ENOENT: 'nothing can be made in that place',
    EROFS: 'the disk is mounted read-only',
    EACCES: 'this user may not write there',
    EPERM: 'this user may not write there',
    ENOTDIR: 'part of the path is a file, not a folder',
    EEXIST: 'there is a file of that name where a folder is needed',
    EISDIR: 'there is a folder of that name',
    ENAMETOOLONG: 'the name is too long',
  };
  return new UsageError(`${path} cannot be written because ${reasons[code] ?? message}; give another place`, {
    cause: failure,
  });
}
