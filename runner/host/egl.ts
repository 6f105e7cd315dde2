/**
 * Dawn's OpenGL ES backend asks the dynamic linker for "libEGL.so". Without the development package a system has that library
 * only as libEGL.so.1. A copy of it whose soname is "libEGL.so", loaded by its path, answers Dawn's question: the linker takes
 * a library of that soname already in the process before it searches the disk.
 */
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { withCachedFolder } from './cache.ts';
import { loadLibrary } from './shared_library.ts';

/** The library with soname "libEGL.so" in place of "libEGL.so.1" (the string table keeps its length). */
export function withShortSoname(library: Uint8Array): Uint8Array {
  const soname = '\0libEGL.so.1\0';
  const copy = Buffer.from(library);
  const at = copy.indexOf(soname, 0, 'latin1');
  if (at < 0 || copy.indexOf(soname, at + 1, 'latin1') >= 0)
    throw new Error('libEGL.so.1 does not hold its own name exactly once');
  return copy.fill(0, at + soname.length - 3, at + soname.length);
}

function loadedPath(): string | undefined {
  return readFileSync('/proc/self/maps', 'utf8').match(/\/.*\/libEGL\.so\.1[.\d]*$/m)?.[0];
}

/** Makes "libEGL.so" something Dawn can load. Returns undefined, or why it cannot. */
export function loadEgl(): string | undefined {
  if (loadLibrary('libEGL.so') === undefined) return undefined;
  const failure = loadLibrary('libEGL.so.1', { keep: true });
  if (failure !== undefined) return failure;
  const path = loadedPath();
  if (path === undefined) return 'libEGL.so.1 is loaded, but /proc/self/maps does not tell from where';
  const { size, mtimeMs } = statSync(path);
  return withCachedFolder(
    `egl-${size}-${Math.round(mtimeMs)}`,
    (folder) => existsSync(join(folder, 'libEGL.so')),
    (folder) => writeFileSync(join(folder, 'libEGL.so'), withShortSoname(readFileSync(path)), { mode: 0o755 }),
    (folder) => loadLibrary(join(folder, 'libEGL.so'), { keep: true }),
  );
}
