import { randomUUID } from 'node:crypto';
import { link, readdir, readFile, rename, rm, stat, unlink, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { UsageError } from '../../engine/errors.ts';
import { makeFolder, writeFailure } from './files.ts';

const LOCK = '.lock';
/** The owner touches its lock this often. */
const HEARTBEAT_MS = 30_000;
/** A lock of another machine is taken over when it was not touched for so long. */
const STALE_MS = 150_000;

interface Owner {
  readonly pid: number;
  readonly host: string;
  /** Tells two locks of one process apart. */
  readonly token: string;
}

/**
 * Makes this process the only one that writes to a run folder. A lock left by a process that is gone is taken over, with the
 * half-written files it left. Returns what gives the lock back. Errors: UsageError when another process trains there.
 */
export async function lockRunFolder(folder: string): Promise<() => Promise<void>> {
  const path = join(folder, LOCK);
  const token = randomUUID();
  const mine = join(folder, `${LOCK}.${token}.tmp`);
  const owner: Owner = { pid: process.pid, host: hostname(), token };
  try {
    await makeFolder(folder);
    await writeFile(mine, JSON.stringify(owner));
  } catch (failure) {
    throw writeFailure(folder, failure);
  }
  try {
    while (!(await linked(mine, path))) {
      const text = await readLock(path);
      const other = parseOwner(text);
      if (other && (await holds(other, path))) {
        throw new UsageError(
          `process ${other.pid} on ${other.host} is training in ${folder}; wait for it, or give another folder (if it is no training, remove ${path})`,
        );
      }
      await removeLock(path, text);
    }
  } finally {
    await unlink(mine).catch(() => undefined);
  }
  await removeTemporaries(folder);
  const heartbeat = setInterval(() => {
    const now = new Date();
    utimes(path, now, now).catch(() => undefined);
  }, HEARTBEAT_MS);
  heartbeat.unref();
  return async () => {
    clearInterval(heartbeat);
    await rm(path, { force: true });
  };
}

/** Whether the lock is ours now: the one step that two processes could race for. */
async function linked(mine: string, path: string): Promise<boolean> {
  try {
    await link(mine, path);
    return true;
  } catch (failure) {
    if ((failure as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw writeFailure(path, failure);
  }
}

/** What the lock says, nothing where it is gone meanwhile. @throws UsageError for what no training can have left there */
async function readLock(path: string): Promise<string> {
  const unknown = `so it cannot tell whether a process trains there; remove it when none does, or give another folder`;
  try {
    if ((await stat(path)).isFile()) return await readFile(path, 'utf8');
  } catch (failure) {
    const { code, message } = failure as NodeJS.ErrnoException;
    if (code === 'ENOENT') return '';
    throw new UsageError(`${path} cannot be read (${message}), ${unknown}`, { cause: failure });
  }
  throw new UsageError(`${path} is no regular file, ${unknown}`);
}

/** Undefined for what a crash cut off. */
function parseOwner(text: string): Owner | undefined {
  try {
    const owner = JSON.parse(text) as Owner;
    return Number.isSafeInteger(owner.pid) && owner.pid > 0 && typeof owner.host === 'string' ? owner : undefined;
  } catch {
    return undefined;
  }
}

/** Removes a lock that says `text`; one that somebody else took meanwhile is put back. */
async function removeLock(path: string, text: string): Promise<void> {
  const aside = `${path}.${randomUUID()}.tmp`;
  try {
    await rename(path, aside);
    if ((await readFile(aside, 'utf8')) !== text) await link(aside, path);
  } catch (failure) {
    const { code } = failure as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && code !== 'EEXIST') throw writeFailure(path, failure);
  } finally {
    await rm(aside, { force: true });
  }
}

async function holds({ pid, host }: Owner, path: string): Promise<boolean> {
  if (host === hostname()) return pid !== process.pid && isAlive(pid);
  const touched = await stat(path).catch(() => undefined);
  return touched !== undefined && Date.now() - touched.mtimeMs < STALE_MS;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (failure) {
    return (failure as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** What writeFileAtomic left where a process was killed in the middle. */
async function removeTemporaries(folder: string): Promise<void> {
  for (const inside of [folder, join(folder, 'checkpoints')]) {
    const names = await readdir(inside).catch(() => []);
    for (const name of names) {
      if (!/^\..+\.[0-9a-f-]{36}\.tmp$/.test(name)) continue;
      await rm(join(inside, name), { force: true }).catch((failure) => {
        throw writeFailure(join(inside, name), failure);
      });
    }
  }
}
