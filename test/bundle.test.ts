/** The folder that `npm run bundle` packs: it runs from anywhere, through links, with nothing but a shell around it. */
import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, rename, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { assemble } from '../bench/bundle/assemble.ts';
import { UsageError } from '../engine/errors.ts';
import { inFolder } from './data/corpus.ts';
import { rejects } from './data/rejects.ts';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const FITS = process.platform === 'linux' && process.arch === 'x64';

/** Neither Node nor a home; the C library's tools for the launcher. */
const BARE = { PATH: '/usr/bin:/bin' };

if (FITS) {
  test('the folder runs from elsewhere through a link to a link, and finds everything in itself', () =>
    inFolder(async (folder) => {
      await assemble(ROOT, join(folder, 'made'));
      const moved = join(folder, 'moved here');
      await rename(join(folder, 'made'), moved);
      await mkdir(join(folder, 'links'));
      await mkdir(join(folder, 'work'));
      await symlink('../moved here/action3d', join(folder, 'links', 'first'));
      await symlink(join(folder, 'links', 'first'), join(folder, 'action3d'));
      const action3d = (...words: string[]) =>
        promisify(execFile)('../action3d', words, { cwd: join(folder, 'work'), env: BARE });

      const { version } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'));
      assert.is((await action3d('--version')).stdout, `${version}\n`);
      const report = JSON.parse((await action3d('doctor', '--json')).stdout);
      assert.equal([report.exitCode, report.action3d], [0, version]);
      assert.ok(
        report.adapters.some(({ kind }: { kind: string }) => kind === 'swiftshader'),
        JSON.stringify(report.refusals),
      );
      assert.ok(report.selfTest.length > 0);
      assert.ok(report.optional.every((item: { version: string | null }) => item.version !== null));
      await action3d('synth', 'set', '--cases', '1', '--labelled', '1', '--test', '0', '--size', '16');
      assert.is(JSON.parse((await action3d('check', 'set', '--json')).stdout).errors, 0);

      const unknown = await action3d('bench/none').catch((failure) => failure);
      assert.is(unknown.code, 2);
      assert.match(unknown.stderr, /^error: there is no bench\/none; there are bench\/everything bench\/hippocampus /);
      const { stdout } = await action3d('bench/everything', '-o', 'measured', '--only', 'doctor', '--gpu', 'auto');
      assert.match(stdout, /^doctor +done/m);
      assert.match(await readFile(join(folder, 'work', 'measured', 'doctor.txt'), 'utf8'), /self test/);
      const licences = await readdir(join(moved, 'licences'));
      for (const name of ['webgpu', 'h5wasm', '@sparticuz-chromium', 'commander', 'valibot'])
        assert.ok(licences.includes(`${name}.txt`), `${name} in ${licences}`);
    }));
} else {
  test('elsewhere than on linux-x64 it is refused', async () => {
    console.log('the archive is for linux-x64: its test is left out here');
    await rejects(() => assemble(ROOT, 'none'), new UsageError('').exitCode, /make it there/);
  });
}

test.run();
