/** One process a run folder. */
import { execFileSync, spawn } from 'node:child_process';
import { access, lstat, mkdir, readdir, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { lockRunFolder } from '../../runner/host/run_lock.ts';
import { inFolder } from '../data/corpus.ts';
import { rejects } from '../data/rejects.ts';

const LOCK_MODULE = new URL('../../runner/host/run_lock.ts', import.meta.url).href;

const there = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  );

/** The id of a process that has ended. */
async function deadPid(): Promise<number> {
  const child = spawn(process.execPath, ['-e', '0']);
  await new Promise((done) => child.on('close', done));
  return child.pid as number;
}

test('a lock is given back, and leaves nothing', () =>
  inFolder(async (folder) => {
    const run = join(folder, 'runs', 'a');
    const unlock = await lockRunFolder(run);
    assert.equal(await readdir(run), ['.lock']);
    await unlock();
    assert.equal(await readdir(run), []);
  }));

test('a lock held by a live process is refused and kept', () =>
  inFolder(async (folder) => {
    const held = JSON.stringify({ pid: process.ppid, host: hostname(), token: 't' });
    await writeFile(join(folder, '.lock'), held);
    await rejects(() => lockRunFolder(folder), 2, new RegExp(`process ${process.ppid} on .* is training in ${folder}`));
    assert.is(await readFile(join(folder, '.lock'), 'utf8'), held);
    assert.equal(await readdir(folder), ['.lock']);
  }));

test('a lock of a process that is gone, or cut off by a crash, is taken over', () =>
  inFolder(async (folder) => {
    const gone = JSON.stringify({ pid: await deadPid(), host: hostname(), token: 't' });
    for (const left of [gone, '', '{"pid":1', 'null', '{"pid":"1"}']) {
      await writeFile(join(folder, '.lock'), left);
      const unlock = await lockRunFolder(folder);
      assert.is(JSON.parse(await readFile(join(folder, '.lock'), 'utf8')).pid, process.pid);
      await unlock();
    }
  }));

test('a lock that is a folder or a pipe, or that cannot be read, is refused and kept', () =>
  inFolder(async (folder) => {
    const path = join(folder, '.lock');
    const kept = async (message: RegExp) => {
      const before = (await lstat(path)).ino;
      await rejects(() => lockRunFolder(folder), 2, message);
      assert.is((await lstat(path)).ino, before);
      assert.equal(await readdir(folder), ['.lock']);
      await rm(path, { recursive: true });
    };
    await mkdir(join(path, 'notes'), { recursive: true });
    await kept(/\.lock is no regular file, .*; remove it when none does, or give another folder/);
    if (process.platform !== 'win32') {
      execFileSync('mkfifo', [path]);
      await kept(/\.lock is no regular file/);
      await symlink('.lock', path); // a loop
      await kept(/\.lock cannot be read \(ELOOP/);
    }
  }));

test('a lock of another machine counts while it is touched', () =>
  inFolder(async (folder) => {
    const path = join(folder, '.lock');
    await writeFile(path, JSON.stringify({ pid: 1, host: 'another-machine', token: 't' }));
    await rejects(() => lockRunFolder(folder), 2, /process 1 on another-machine is training/);
    const old = new Date(Date.now() - 600_000);
    await utimes(path, old, old);
    await (await lockRunFolder(folder))();
    assert.not(await there(path));
  }));

test('half-written files of a killed process are removed, other files stay', () =>
  inFolder(async (folder) => {
    await mkdir(join(folder, 'checkpoints'));
    const id = '01234567-89ab-cdef-0123-456789abcdef';
    await writeFile(join(folder, `.status.json.${id}.tmp`), '');
    await writeFile(join(folder, 'checkpoints', `.latest.safetensors.${id}.tmp`), '');
    await writeFile(join(folder, 'checkpoints', 'latest.safetensors'), 'kept');
    await writeFile(join(folder, '.notes.tmp'), 'mine');
    await (await lockRunFolder(folder))();
    assert.equal((await readdir(folder)).sort(), ['.notes.tmp', 'checkpoints']);
    assert.equal(await readdir(join(folder, 'checkpoints')), ['latest.safetensors']);
  }));

test('of many that start at once one gets the lock', () =>
  inFolder(async (folder) => {
    await writeFile(join(folder, '.lock'), JSON.stringify({ pid: await deadPid(), host: hostname(), token: 't' }));
    const script = `
      const { lockRunFolder } = await import(${JSON.stringify(LOCK_MODULE)});
      process.stdout.write(await lockRunFolder(${JSON.stringify(folder)}).then(() => 'got', () => 'refused'));
      process.stdin.on('end', () => process.exit(0)).resume();`;
    const children = Array.from({ length: 4 }, () =>
      spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
        stdio: ['pipe', 'pipe', 'inherit'],
      }),
    );
    // All answer before the first may end.
    const said = await Promise.all(
      children.map((child) => new Promise<string>((done) => child.stdout.once('data', (text) => done(String(text))))),
    );
    for (const child of children) child.stdin.end();
    assert.is(said.filter((text) => text === 'got').length, 1, said.join());
    assert.is(said.filter((text) => text === 'refused').length, 3, said.join());
  }));

test.run();
