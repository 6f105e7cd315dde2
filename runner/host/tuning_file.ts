/** What `action3d tune` found out, a JSON file an adapter in the user's cache folder. */
import { randomUUID } from 'node:crypto';
import { link, readFile, rm, stat, unlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { type AdapterIdentity, identityText } from '../tune/adapter.ts';
import { textHash } from '../tune/shader_hash.ts';
import type { TuningStore } from '../tune/store.ts';
import { assertPrivate, cacheFolders, makePrivate } from './cache.ts';
import { writeFailure, writeFileAtomic } from './files.ts';

/** The file in the user's cache folder or, where that cannot be written, in their temporary folder; the newer one is read. */
export function tuningFile(identity: AdapterIdentity): TuningStore {
  const base = identity.name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 48);
  const file = `${base}-${textHash(identityText(identity))}.json`;
  const places = cacheFolders().map((folder) => join(folder, 'tuning', file));
  let [name] = places;
  const read = async () => {
    const looked = await Promise.allSettled(places.map(heldAt));
    const found = looked.flatMap((place) => (place.status === 'fulfilled' && place.value ? [place.value] : []));
    const unreadable = looked.find((place) => place.status === 'rejected');
    if (found.length === 0 && unreadable) throw unreadable.reason;
    if (found.length === 0) return undefined;
    const newest = found.reduce((a, b) => (b.modified > a.modified ? b : a));
    name = newest.path;
    return newest.text;
  };
  return {
    get name() {
      return name;
    },
    read,
    async update(change) {
      const reasons: string[] = [];
      for (const path of places) {
        try {
          makePrivate(dirname(dirname(path)));
          makePrivate(dirname(path));
          const unlock = await lock(path);
          try {
            await writeFileAtomic(path, change(await read()), { overwrite: true });
            name = path;
          } finally {
            await unlock();
          }
          return;
        } catch (failure) {
          reasons.push((failure as Error).message);
        }
      }
      throw new Error(reasons.join('; '));
    },
    async clear() {
      const removed: string[] = [];
      for (const path of places) {
        if (!(await stat(path).catch(() => undefined))) continue;
        await rm(path, { recursive: true }).catch((failure) => {
          throw writeFailure(path, failure);
        });
        removed.push(path);
      }
      name = removed[0] ?? name;
      return removed.length > 0;
    },
  };
}

interface Held {
  readonly path: string;
  readonly text: string;
  readonly modified: number;
}

/** Undefined where there is no such file. Errors: Error for one that cannot be read, or that others could have put there. */
async function heldAt(path: string): Promise<Held | undefined> {
  const found = await stat(path).catch(() => undefined);
  if (!found) return undefined;
  assertPrivate(dirname(path));
  return { path, text: await readFile(path, 'utf8'), modified: found.mtimeMs };
}

/** A write takes milliseconds: a lock that is older was left by a process that is gone. */
const STALE_MS = 5000;
const RETRY_MS = 20;

/** Waits until no other process writes the file. @returns what gives the lock back */
async function lock(path: string): Promise<() => Promise<void>> {
  const [held, mine] = [`${path}.lock`, `${path}.${randomUUID()}.tmp`];
  await writeFile(mine, '');
  try {
    for (;;) {
      const taken = await link(mine, held).then(
        () => true,
        (failure: NodeJS.ErrnoException) => {
          if (failure.code !== 'EEXIST') throw failure;
          return false;
        },
      );
      if (taken) return () => rm(held, { force: true });
      const age = await stat(held).then(
        ({ mtimeMs }) => Date.now() - mtimeMs,
        () => 0,
      );
      if (age > STALE_MS) await rm(held, { force: true });
      else await wait(RETRY_MS);
    }
  } finally {
    await unlink(mine);
  }
}
