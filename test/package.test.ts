/** The packed tarball, unpacked beside nothing but its declared dependencies: the program and the types that come with it. */
import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { exists } from '../runner/host/files.ts';
import { inFolder, writeFiles } from './data/corpus.ts';

const run = promisify(execFile);
const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const PROGRAM = 'node_modules/action3d/dist/runner/cli.js';

/** Packs the repository (which builds it) and installs it into `folder` without the network. */
async function install(folder: string): Promise<void> {
  await run('npm', ['pack', '--pack-destination', folder], { cwd: ROOT });
  const modules = join(folder, 'node_modules');
  const target = join(modules, 'action3d');
  await mkdir(target, { recursive: true });
  const [tarball] = (await readdir(folder)).filter((name) => name.endsWith('.tgz'));
  await run('tar', ['-xzf', join(folder, tarball), '-C', target, '--strip-components=1']);
  const { dependencies, optionalDependencies } = JSON.parse(await readFile(join(target, 'package.json'), 'utf8'));
  for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
    await mkdir(dirname(join(modules, name)), { recursive: true });
    await symlink(join(ROOT, 'node_modules', name), join(modules, name));
  }
}

const CONSUMER = `import { Device as EngineDevice } from 'action3d';
import { type Device, openGpu, predictCase, readNifti, type Volume } from 'action3d/node';
const image: Volume = await readNifti(new Uint8Array(0), 'scan.nii.gz');
const gpu = await openGpu({ gpu: 'auto' });
export const shape: readonly [number, number, number] = image.shape;
export const use: [Device, GPUDevice, typeof predictCase] = [new EngineDevice(gpu.device, gpu), gpu.device, predictCase];
`;

test('the packed package runs, and its types compile in a strict project of others', () =>
  inFolder(async (folder) => {
    await install(folder);
    const action3d = async (...words: string[]) =>
      (await run(process.execPath, [join(folder, PROGRAM), ...words], { cwd: folder })).stdout;

    const target = join(folder, 'node_modules/action3d');
    const { version, bin, exports } = JSON.parse(await readFile(join(target, 'package.json'), 'utf8'));
    for (const entry of Object.values<Record<string, string>>(exports))
      for (const file of Object.values(entry))
        assert.ok(await exists(join(target, file)), `${file} is not in the package`);
    assert.is(bin.action3d, 'dist/runner/cli.js');
    assert.match(await readFile(join(folder, PROGRAM), 'utf8'), /^#!\/usr\/bin\/env node\n/);
    assert.is(await action3d('--version'), `${version}\n`);
    const { uses, selfTest } = JSON.parse(await action3d('doctor', '--json'));
    assert.ok(uses.index >= 0, JSON.stringify(uses));
    assert.ok(selfTest.length > 0 && selfTest.every(({ ok }: { ok: boolean }) => ok), JSON.stringify(selfTest));
    await action3d('synth', 'set', '--cases', '1', '--labelled', '1', '--test', '0', '--size', '16');
    assert.is(JSON.parse(await action3d('check', 'set', '--json')).errors, 0);

    await writeFiles(folder, { 'consumer.mts': CONSUMER });
    const tsc = [
      join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc'),
      '--noEmit',
      '--strict',
      '--module',
      'nodenext',
    ];
    const options = ['--target', 'es2022', '--skipLibCheck', 'false', 'consumer.mts'];
    const { stdout } = await run(process.execPath, [...tsc, ...options], { cwd: folder }).catch((failure) => failure);
    assert.is(stdout, '');
  }));

test.run();
