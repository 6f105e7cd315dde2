/**
 * SwiftShader out of npm's @sparticuz/chromium: a Vulkan device and a Vulkan loader for Linux machines that have neither.
 *
 * Its libraries are unpacked once into a per-user cache and loaded by their path with RTLD_NODELETE. When Dawn then asks for
 * "libvulkan.so.1", the dynamic linker finds a library of that soname already in the process, so neither LD_LIBRARY_PATH nor
 * a second process is needed.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliDecompressSync } from 'node:zlib';
import { withCachedFolder } from './cache.ts';
import { installedPackage } from './packages.ts';
import { loadLibrary } from './shared_library.ts';

export const PACKAGE = '@sparticuz/chromium';
/** Where the libraries lie inside the package when they are unpacked already, as in the archive of `npm run bundle`. */
export const UNPACKED = 'bin/swiftshader';
const FILES = ['libvk_swiftshader.so', 'vk_swiftshader_icd.json', 'libvulkan.so.1'];

/** Regular files of a ustar archive, by base name: 512-byte headers, name at 0, octal size at 124, type at 156. */
export function readTar(bytes: Uint8Array): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  const text = (from: number, length: number) =>
    new TextDecoder().decode(bytes.subarray(from, from + length)).split('\0')[0];
  for (let at = 0; at + 512 <= bytes.length && bytes[at] !== 0; ) {
    const size = Number.parseInt(text(at + 124, 12).trim() || '0', 8);
    const type = text(at + 156, 1);
    const name = text(at, 100).split('/').pop() ?? '';
    if (!Number.isFinite(size) || at + 512 + size > bytes.length)
      throw new Error(`the archive is damaged at byte ${at}`);
    if (type === '0' || type === '') files.set(name, bytes.subarray(at + 512, at + 512 + size));
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return files;
}

let icd: { path: string } | { refusal: string } | undefined;

/** Loads SwiftShader's Vulkan loader into this process. Returns the path of its ICD file, or why there is none. */
export function loadSwiftShader(): { path: string } | { refusal: string } {
  icd ??= tryLoad();
  return icd;
}

function tryLoad(): { path: string } | { refusal: string } {
  if (process.platform !== 'linux' || process.arch !== 'x64')
    return {
      refusal: `npm's ${PACKAGE} carries SwiftShader for linux-x64 only, this is ${process.platform}-${process.arch}`,
    };
  const npm = installedPackage(PACKAGE);
  if (!npm) return { refusal: `the optional npm package ${PACKAGE} is not installed` };
  let path = '';
  const complete = (folder: string) => FILES.every((name) => existsSync(join(folder, name)));
  const use = (folder: string) => {
    path = join(folder, 'vk_swiftshader_icd.json');
    return loadLibrary(join(folder, 'libvulkan.so.1'), { keep: true });
  };
  const unpacked = join(npm.folder, UNPACKED);
  const failure = complete(unpacked)
    ? use(unpacked)
    : withCachedFolder(`swiftshader-${npm.version}`, complete, (folder) => unpackSwiftShader(npm.folder, folder), use);
  return failure === undefined ? { path } : { refusal: `SwiftShader could not be unpacked and loaded: ${failure}` };
}

/** Writes the libraries of the package installed in `npm` into `folder`. */
export function unpackSwiftShader(npm: string, folder: string): void {
  const archive = join(npm, 'bin', 'swiftshader.tar.br');
  const files = readTar(brotliDecompressSync(readFileSync(archive)));
  for (const name of FILES) {
    const bytes = files.get(name);
    if (!bytes) throw new Error(`${archive} holds no ${name}`);
    writeFileSync(join(folder, name), bytes, { mode: 0o755 });
  }
}
