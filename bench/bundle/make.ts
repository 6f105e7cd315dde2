/**
 * `npm run bundle`: dist/action3d-linux-x64.tar.gz, one archive that runs on a Linux x64 machine without Node and network.
 * It is a .tar.xz where gzip does not bring it below the limit.
 */
import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { ActionError, FitError } from '../../engine/errors.ts';
import { assemble } from './assemble.ts';

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const NAME = 'action3d-linux-x64';
const LIMIT = 45e6;
const COMPRESSORS = [
  ['gz', 'gzip -9'],
  ['xz', 'xz -6'],
] as const;

/** Equal folders give equal archives. */
const PLAIN = [
  '--sort=name',
  '--owner=0',
  '--group=0',
  '--numeric-owner',
  '--mode=u+rwX,go+rX-w',
  '--mtime=2000-01-01',
];

/** Writes the archive of `folder` into `target` and prints its path. @throws FitError where none of the compressors brings it below the limit */
async function pack(folder: string, target: string): Promise<void> {
  const sizes: string[] = [];
  await mkdir(target, { recursive: true });
  for (const [ending] of COMPRESSORS) await rm(join(target, `${NAME}.tar.${ending}`), { force: true });
  for (const [ending, compressor] of COMPRESSORS) {
    const fresh = join(dirname(folder), `${NAME}.tar.${ending}`);
    await promisify(execFile)('tar', [
      ...PLAIN,
      `--use-compress-program=${compressor}`,
      '-cf',
      fresh,
      '-C',
      dirname(folder),
      NAME,
    ]);
    const { size } = await stat(fresh);
    sizes.push(`${(size / 1e6).toFixed(1)} MB with ${compressor}`);
    if (size > LIMIT) continue;
    const archive = join(target, `${NAME}.tar.${ending}`);
    await copyFile(fresh, archive);
    process.stdout.write(`${archive}: ${sizes.at(-1)}\n`);
    return;
  }
  throw new FitError(
    `${NAME} has ${sizes.join(' and ')}, more than the ${LIMIT / 1e6} MB it may have; make it with a smaller Node, or install binutils for strip`,
  );
}

const temporary = await mkdtemp(join(tmpdir(), 'action3d-bundle-'));
try {
  const folder = join(temporary, NAME);
  await assemble(ROOT, folder);
  await pack(folder, join(ROOT, 'dist'));
} catch (failure) {
  if (!(failure instanceof ActionError)) throw failure;
  process.stderr.write(`error: ${failure.message}\n`);
  process.exitCode = failure.exitCode;
} finally {
  await rm(temporary, { recursive: true, force: true });
}
