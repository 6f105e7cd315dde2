/**
 * Folders of the user's own: for native libraries that we unpack, and for what was found out about adapters. A library must never
 * be loaded out of a folder that somebody else can write.
 */
import { randomUUID } from 'node:crypto';
import { existsSync, lstatSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** Not os.userInfo(): it throws for a uid without a name, as in a container started with --user. */
const uid = () => process.getuid?.() ?? 0;

/** The user's cache, then a temporary folder of theirs (a home can be missing, read-only or mounted noexec). */
export function cacheFolders(): string[] {
  const base = process.env.XDG_CACHE_HOME || (process.env.HOME && join(process.env.HOME, '.cache'));
  return [...(base ? [join(base, 'action3d')] : []), join(tmpdir(), `action3d-${uid()}`)];
}

/** One level and its parent; Node's recursive mkdir never ends in places such as /proc. Errors: Error for what others can write. */
export function makePrivate(folder: string): void {
  for (const level of [dirname(folder), folder]) if (!existsSync(level)) tryMkdir(level);
  assertPrivate(folder);
}

/** Errors: Error for a folder that is not there, or that others can write. */
export function assertPrivate(folder: string): void {
  const stat = lstatSync(folder);
  if (!stat.isDirectory() || stat.uid !== uid() || (stat.mode & 0o022) !== 0)
    throw new Error(`${folder} is not a folder that only this user can write`);
}

function tryMkdir(folder: string): void {
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

/**
 * Finds or makes the cached folder `name` and gives it to `use`, which returns undefined when the folder serves, else why not;
 * then the next place is tried. `fill` writes the files into a fresh folder that is renamed when complete, so processes started
 * together never see half of it. `complete` tells whether a folder found is whole. Returns undefined, or every reason in one line.
 */
export function withCachedFolder(
  name: string,
  complete: (folder: string) => boolean,
  fill: (folder: string) => void,
  use: (folder: string) => string | undefined,
): string | undefined {
  const reasons: string[] = [];
  for (const parent of cacheFolders()) {
    const target = join(parent, name);
    const fresh = `${target}.${process.pid}.${randomUUID()}`;
    try {
      makePrivate(parent);
      if (!complete(target)) {
        mkdirSync(fresh, { mode: 0o700 });
        fill(fresh);
        rename(fresh, target, complete);
      }
      const failure = use(target);
      if (failure === undefined) return undefined;
      reasons.push(failure);
    } catch (error) {
      reasons.push(error instanceof Error ? error.message : String(error));
    } finally {
      if (existsSync(fresh)) rmSync(fresh, { recursive: true, force: true });
    }
  }
  return reasons.join('; ');
}

/** Another process may have put the same folder there meanwhile; a half-deleted one is replaced. */
function rename(fresh: string, target: string, complete: (folder: string) => boolean): void {
  try {
    renameSync(fresh, target);
  } catch (error) {
    if (complete(target)) return;
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
    rmSync(target, { recursive: true, force: true });
    renameSync(fresh, target);
  }
}
