import { randomUUID } from 'node:crypto';
import { appendFile, link, mkdir, readFile, rm, unlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { UsageError } from '../../engine/errors.ts';
import type { RunStore } from '../train/run_store.ts';
import { readFailure, writeFailure, writeFileAtomic } from './files.ts';

/** A run folder on disk. Errors: FitError for a full disk, UsageError for a place that cannot be written. */
export function runFolder(folder: string): RunStore {
  return {
    name: folder,
    async read(path) {
      try {
        return await readFile(join(folder, path));
      } catch (failure) {
        if ((failure as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
        throw readFailure(join(folder, path), failure);
      }
    },
    write: (path, content) => writeFileAtomic(join(folder, path), content, { overwrite: true }),
    async append(path, text) {
      try {
        await mkdir(dirname(join(folder, path)), { recursive: true });
        await appendFile(join(folder, path), text);
      } catch (failure) {
        throw writeFailure(join(folder, path), failure);
      }
    },
  };
}

const LOCK = '.lock';

/**
 * Makes this process the only one that writes to a run folder; a lock left by a process that is gone is taken over.
 * Returns what gives it back. Errors: UsageError when another process trains there.
 */
export async function lockRunFolder(folder: string): Promise<() => Promise<void>> {
  const path = join(folder, LOCK);
  try {
    await mkdir(folder, { recursive: true });
  } catch (failure) {
    throw writeFailure(folder, failure);
  }
  const mine = join(folder, `${LOCK}.${randomUUID()}`);
  await writeFile(mine, String(process.pid)).catch((failure) => {
    throw writeFailure(folder, failure);
  });
  try {
    for (;;) {
      try {
        await link(mine, path); // fails when the lock is there: the only step that two processes could race for
        return () => rm(path, { force: true });
      } catch (failure) {
        if ((failure as NodeJS.ErrnoException).code !== 'EEXIST') throw writeFailure(path, failure);
      }
      const owner = Number(await readFile(path, 'utf8').catch(() => '0'));
      if (owner !== process.pid && isAlive(owner)) {
        throw new UsageError(`process ${owner} is training in ${folder}; wait for it, or give another folder`);
      }
      await rm(path, { force: true });
    }
  } finally {
    await unlink(mine).catch(() => undefined);
  }
}

function isAlive(pid: number): boolean {
  if (!(pid > 0)) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (failure) {
    return (failure as NodeJS.ErrnoException).code === 'EPERM';
  }
}
