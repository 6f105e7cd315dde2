/** The folder that the archive holds: Node, the program, Dawn, SwiftShader, h5wasm, and everybody's licence. */
import { execFile } from 'node:child_process';
import { chmod, copyFile, cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { DataError, UsageError } from '../../engine/errors.ts';
import { installedPackage } from '../../runner/host/packages.ts';
import { PACKAGE as SWIFTSHADER, UNPACKED, unpackSwiftShader } from '../../runner/host/swiftshader.ts';
import { bundleCode } from './code.ts';

const LICENCE = /^licen[cs]e(\.(md|txt))?$/i;

/**
 * Fills the new folder `target`. Nothing of it depends on where it lies.
 *
 * @param root folder of the repository, with its packages installed
 * @throws UsageError on another platform than linux-x64, DataError where a package is missing
 */
export async function assemble(root: string, target: string): Promise<void> {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new UsageError(
      `the archive is made of this machine's own Node and runs on linux-x64, but this is ${process.platform}-${process.arch}; make it there`,
    );
  }
  await mkdir(join(target, 'bin'), { recursive: true });
  await copyFile(process.execPath, join(target, 'bin', 'node'));
  const inside = await bundleCode(root, join(target, 'app'));
  await copyPackage('webgpu', ['index.js', 'dist/linux-x64'], target);
  await copyPackage('h5wasm', ['dist/esm'], target);
  const chromium = await copyPackage(SWIFTSHADER, [], target);
  const unpacked = join(target, 'node_modules', SWIFTSHADER, UNPACKED);
  await mkdir(unpacked, { recursive: true });
  unpackSwiftShader(chromium, unpacked);
  await strip(join(target, 'bin', 'node'), join(target, 'node_modules', 'webgpu', 'dist', 'linux-x64', 'dawn.node'));
  for (const file of ['package.json', 'README.md', 'LICENSE']) await copyFile(join(root, file), join(target, file));
  const launcher = join(target, 'action3d');
  await copyFile(new URL('launcher.sh', import.meta.url), launcher);
  await chmod(launcher, 0o755);
  await copyLicences(['webgpu', 'h5wasm', SWIFTSHADER, ...inside], join(target, 'licences'));
}

function packageFolder(name: string): string {
  const found = installedPackage(name);
  if (found) return found.folder;
  throw new DataError(`the npm package ${name} is not installed, and the archive needs it; run npm ci`);
}

/** Copies the manifest and the named files and folders of a package. @returns where it is installed */
async function copyPackage(name: string, paths: readonly string[], target: string): Promise<string> {
  const from = packageFolder(name);
  for (const path of ['package.json', ...paths])
    await cp(join(from, path), join(target, 'node_modules', name, path), { recursive: true });
  return from;
}

/** Takes symbols for debuggers out, where binutils are installed. */
async function strip(...files: readonly string[]): Promise<void> {
  try {
    await promisify(execFile)('strip', ['--strip-unneeded', ...files]);
  } catch (failure) {
    process.stderr.write(`strip cannot be used, so the archive is larger: ${(failure as Error).message}\n`);
  }
}

/** One file for each package, and Node's own where it lies beside it (a release of nodejs.org, a system's package). */
async function copyLicences(names: readonly string[], folder: string): Promise<void> {
  await mkdir(folder);
  for (const name of names) {
    const from = packageFolder(name);
    const texts = (await readdir(from)).filter((file) => LICENCE.test(file)).map((file) => join(from, file));
    if (texts.length > 0) await copyFile(texts[0], join(folder, `${name.replace('/', '-')}.txt`));
  }
  const prefix = dirname(dirname(process.execPath));
  for (const path of ['LICENSE', 'share/doc/nodejs/LICENSE', 'share/doc/nodejs/copyright']) {
    const text = await readFile(join(prefix, path), 'utf8').catch(() => '');
    if (!text.includes('Node.js')) continue;
    await writeFile(join(folder, 'node.txt'), text);
    break;
  }
}
