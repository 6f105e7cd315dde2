/** npm packages beside us: where they are and which version, also for those that export nothing but their entry. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

export interface InstalledPackage {
  folder: string;
  version: string;
  /** The file that is imported by the package's name, where the manifest says it plainly. */
  main: string | undefined;
}

/** The package in `folder`, when its manifest is there and names it so. */
function packageIn(folder: string, name: string): InstalledPackage | undefined {
  try {
    const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    return manifest.name === name ? { folder, version: String(manifest.version), main: manifest.main } : undefined;
  } catch {
    return undefined;
  }
}

function packageFrom(base: string, name: string): InstalledPackage | undefined {
  for (const modules of createRequire(base).resolve.paths(name) ?? []) {
    const found = packageIn(join(modules, name), name);
    if (found) return found;
  }
  return undefined;
}

/** An installed package, looked for where this file's imports are. */
export function installedPackage(name: string): InstalledPackage | undefined {
  return packageFrom(import.meta.url, name);
}

/** A package that users install by themselves: looked for where this file's imports are, then from the current folder. */
export function foundPackage(name: string): InstalledPackage | undefined {
  return installedPackage(name) ?? packageFrom(pathToFileURL(join(process.cwd(), 'package.json')).href, name);
}

/** The version of action3d itself: the manifest above this file, in sources as in dist/. */
export function ownVersion(): string | undefined {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    const found = packageIn(folder, 'action3d');
    if (found || folder === dirname(folder)) return found?.version;
  }
}
