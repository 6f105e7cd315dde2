/** A headless Chromium that offers WebGPU: the system's own, else the one in npm's @sparticuz/chromium (linux-x64). */
import { accessSync, constants, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { brotliDecompressSync } from 'node:zlib';
import { type Browser, chromium } from 'playwright-core';
import { withCachedFolder } from '../../runner/host/cache.ts';
import { installedPackage } from '../../runner/host/packages.ts';
import { readTar } from '../../runner/host/swiftshader.ts';

const PACKAGE = '@sparticuz/chromium';
const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome', 'microsoft-edge'];
const APPLICATIONS = [
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
  'C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe',
  'C:\\Program Files (x86)\\Microsoft\\Edge\\Application\\msedge.exe',
];

const FLAGS = [
  '--no-sandbox',
  '--enable-unsafe-webgpu',
  // Nothing but this machine can be reached.
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
  ...(process.platform === 'linux' ? ['--enable-features=Vulkan', '--use-webgpu-adapter=swiftshader'] : []),
];

/**
 * Launches the system's Chromium, Chrome or Edge, else the packaged one; ACTION3D_CHROMIUM holds another path, or 'packaged'.
 * Throws a sentence when this machine has none.
 */
export async function launchChromium(): Promise<{ browser: Browser; name: string }> {
  const wanted = process.env.ACTION3D_CHROMIUM;
  const installed = wanted === 'packaged' ? undefined : (wanted ?? systemChromium());
  if (installed) return launched(installed, {});
  const packaged = packagedChromium();
  if ('refusal' in packaged) {
    const missing = wanted === 'packaged' ? '' : `none of ${NAMES.join(', ')} is on the PATH, and `;
    throw new Error(`there is no Chromium: ${missing}${packaged.refusal}; install Chromium or Chrome`);
  }
  // Its own libraries stand in for those a bare machine lacks.
  const libraries = [packaged.folder, process.env.LD_LIBRARY_PATH].filter(Boolean).join(delimiter);
  return launched(join(packaged.folder, 'chromium'), { LD_LIBRARY_PATH: libraries });
}

async function launched(executablePath: string, environment: Record<string, string>) {
  const browser = await chromium.launch({
    executablePath,
    args: FLAGS,
    env: { ...process.env, ...environment },
    timeout: 120_000,
  });
  return { browser, name: `Chromium ${browser.version()} (${executablePath})` };
}

function systemChromium(): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  const paths = ['/usr/bin', ...folders].flatMap((folder) => NAMES.map((name) => join(folder, name)));
  return [...paths, ...APPLICATIONS].find(executable);
}

function executable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Unpacks the package's browser once into the user's cache, its Vulkan and NSS libraries beside it. */
function packagedChromium(): { folder: string } | { refusal: string } {
  if (process.platform !== 'linux' || process.arch !== 'x64')
    return {
      refusal: `npm's ${PACKAGE} carries a Chromium for linux-x64 only, this is ${process.platform}-${process.arch}`,
    };
  const npm = installedPackage(PACKAGE);
  if (!npm) return { refusal: `the optional npm package ${PACKAGE} is not installed` };
  const unpack = (name: string) => brotliDecompressSync(readFileSync(join(npm.folder, 'bin', name)));
  let folder = '';
  const failure = withCachedFolder(
    `chromium-${npm.version}`,
    (found) => existsSync(join(found, 'chromium')),
    (fresh) => {
      for (const archive of ['al2023.tar.br', 'swiftshader.tar.br'])
        for (const [name, bytes] of readTar(unpack(archive))) writeFileSync(join(fresh, name), bytes, { mode: 0o755 });
      writeFileSync(join(fresh, 'chromium'), unpack('chromium.br'), { mode: 0o755 });
    },
    (found) => {
      folder = found;
      return undefined;
    },
  );
  return failure === undefined ? { folder } : { refusal: `its Chromium could not be unpacked: ${failure}` };
}
