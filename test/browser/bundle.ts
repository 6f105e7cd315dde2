import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'esbuild';

const TEST = dirname(dirname(fileURLToPath(import.meta.url)));
const FIXTURES = join(TEST, 'fixtures', 'torch');

/** What a page has in place of a file that touches Node; any other node: import fails the build. */
const pageParts: Plugin = {
  name: 'page parts',
  setup(bundler) {
    const uvu = join(TEST, 'browser', 'uvu.ts');
    bundler.onResolve({ filter: /^uvu$/ }, ({ importer }) => (importer === uvu ? undefined : { path: uvu }));
    bundler.onLoad({ filter: /runner[\\/]host[\\/]node\.ts$/ }, () => ({
      contents: readFileSync(join(TEST, 'browser', 'host.ts')),
      resolveDir: join(TEST, 'browser'),
      loader: 'ts',
    }));
    bundler.onLoad({ filter: /fixtures[\\/]torch[\\/]bytes\.ts$/ }, () => ({
      contents: fixtureModule(),
      loader: 'ts',
    }));
  },
};

/** test/fixtures/torch/bytes.ts with the files inside. */
function fixtureModule(): string {
  const files = readdirSync(FIXTURES).filter((name) => name.endsWith('.safetensors'));
  const encoded = files.map((name) => [
    basename(name, '.safetensors'),
    readFileSync(join(FIXTURES, name)).toString('base64'),
  ]);
  return `
    const files: Record<string, string> = ${JSON.stringify(Object.fromEntries(encoded))};
    export const fixtureBytes = (name: string) => Uint8Array.from(atob(files[name]), (c) => c.charCodeAt(0));
  `;
}

/** Bundles files of test/ (paths relative to it, without ending) for a page. Returns the script of each by its path. */
export async function bundle(files: readonly string[]): Promise<Map<string, string>> {
  const { outputFiles } = await build({
    entryPoints: files.map((file) => ({ in: join(TEST, `${file}.ts`), out: file })),
    outdir: TEST,
    write: false,
    bundle: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    define: { 'process.env.ACTION3D_GPU': 'undefined', 'process.exitCode': '0' },
    plugins: [pageParts],
    logLevel: 'silent',
  });
  return new Map(files.map((file, i) => [file, outputFiles[i].text]));
}
