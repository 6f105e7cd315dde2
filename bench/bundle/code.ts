/** The program and the measurements as a few files of JavaScript. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'esbuild';

/** esbuild replaces the imports of CommonJS packages by `require`, which a module does not have. */
const REQUIRE = "import { createRequire as requireOf } from 'node:module'; const require = requireOf(import.meta.url);";

/**
 * Bundles runner/cli.ts and every bench/*.ts into `folder`, under the same paths; what they share lies in chunks/. Packages
 * that are not among the dependencies, and Dawn's, stay imports.
 *
 * @returns the packages whose code is inside
 */
export async function bundleCode(root: string, folder: string): Promise<string[]> {
  const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  const { devDependencies, optionalDependencies, peerDependencies } = manifest;
  const measurements = (await readdir(join(root, 'bench'))).filter((name) => name.endsWith('.ts'));
  const { metafile } = await build({
    absWorkingDir: root,
    // What the program starts as processes of their own is not reached by imports.
    entryPoints: ['runner/cli.ts', 'runner/commands/peer_child.ts', ...measurements.map((name) => `bench/${name}`)],
    outbase: '.',
    outdir: folder,
    bundle: true,
    splitting: true,
    chunkNames: 'chunks/[name]-[hash]',
    format: 'esm',
    platform: 'node',
    target: 'node20',
    keepNames: true,
    banner: { js: REQUIRE },
    external: ['webgpu', ...Object.keys({ ...devDependencies, ...optionalDependencies, ...peerDependencies })],
    metafile: true,
    logLevel: 'warning',
  });
  const inside = Object.keys(metafile.inputs).map((path) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1]);
  return [...new Set(inside.filter((name) => name !== undefined))].sort();
}
