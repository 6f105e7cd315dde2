/** Disks that take nothing more: the sentence, the exit code, and the checkpoint that was there. */
import { execFileSync } from 'node:child_process';
import { copyFile, mkdir, open, readdir, readFile, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { decodeCheckpoint } from '../../runner/train/checkpoint.ts';
import { RUN_FILES } from '../../runner/train/run_store.ts';
import { inFolder } from '../data/corpus.ts';
import { rejects } from '../data/rejects.ts';
import { run } from '../harness.ts';
import { resultOf, tinyDataset, trainHere } from './tiny_run.ts';

/** Runs `body` with a small disk of its own; says so and returns where this user may not mount one. */
async function withDisk(body: (disk: string, remount: (options: string) => void) => Promise<void>): Promise<void> {
  await inFolder(async (folder) => {
    const disk = join(folder, 'disk');
    await mkdir(disk);
    const mount = (...words: string[]) => execFileSync('mount', words, { stdio: 'pipe' });
    try {
      mount('-t', 'tmpfs', '-o', 'size=512k', 'tmpfs', disk);
    } catch (failure) {
      console.log(`left out: a small disk cannot be mounted here (${String(failure).split('\n')[0]})`);
      return;
    }
    try {
      await body(disk, (options) => mount('-o', `remount,${options}`, disk));
    } finally {
      execFileSync('umount', [disk]);
    }
  });
}

/** Takes all but `left` bytes of a disk. */
async function fill(disk: string, left: number): Promise<void> {
  const { bavail, bsize } = await statfs(disk);
  const file = await open(join(disk, 'filler'), 'w');
  await file.write(new Uint8Array(Math.max(0, bavail * bsize - left)));
  await file.close();
}

test('a full disk: exit code 5, the old checkpoint whole, and the run goes on once there is room', () =>
  inFolder(async (folder) => {
    const data = await tinyDataset(folder);
    const whole = join(folder, 'whole');
    assert.is(await trainHere(data, whole), 0);
    await withDisk(async (disk) => {
      const output = join(disk, 'run');
      assert.is(await trainHere(data, output, { maxHours: 0 }), 75);
      const before = await readFile(join(output, RUN_FILES.latest));
      await fill(disk, 32 * 1024); // room for the small files, none for a second checkpoint
      assert.ok(before.length > 32 * 1024);
      await rejects(
        () => trainHere(data, output),
        5,
        /latest\.safetensors cannot be written because the disk is full; /,
      );
      assert.equal(await readFile(join(output, RUN_FILES.latest)), before);
      assert.equal(await readdir(join(output, 'checkpoints')), ['latest.safetensors']);
      await rm(join(disk, 'filler'));
      assert.is(await trainHere(data, output), 0);
      assert.equal(await resultOf(output), await resultOf(whole));
    });
  }));

test('images that neither memory nor disk has room for: exit code 5, and nothing that was there is lost', () =>
  inFolder(async (folder) => {
    const data = await tinyDataset(folder);
    await withDisk(async (disk) => {
      const [output, other] = [join(disk, 'run'), join(disk, 'other')];
      assert.is(await trainHere(data, output), 0);
      const before = await resultOf(output);
      await fill(disk, 24 * 1024);
      const refused = /more than the 0 B of memory .*--memory.*larger disk/;
      await rejects(() => trainHere(data, output, { memory: 0, force: true }), 5, refused);
      assert.equal(await resultOf(output), before, '--force has removed nothing');
      await rejects(() => trainHere(data, other, { memory: 0 }), 5, refused);
      assert.equal(await readdir(other), [], 'so that other options may follow');
    });
  }));

test('a read-only disk: exit code 2 and the old checkpoint whole', () =>
  inFolder(async (folder) => {
    const data = await tinyDataset(folder);
    await withDisk(async (disk, remount) => {
      const output = join(disk, 'run');
      assert.is(await trainHere(data, output, { maxHours: 0 }), 75);
      remount('ro');
      await rejects(() => trainHere(data, output), 2, /cannot be written because the disk is mounted read-only; /);
      await rejects(() => trainHere(data, join(disk, 'new')), 2, /new cannot be written because the disk is mounted/);
      const { step } = decodeCheckpoint(await readFile(join(output, RUN_FILES.latest)), 'latest');
      assert.is(step, 0);
      remount('rw');
      await copyFile(join(output, RUN_FILES.config), join(disk, 'writable'));
    });
  }));

test('a path that leads through a file is refused', () =>
  inFolder(async (folder) => {
    const data = await tinyDataset(folder);
    await rejects(
      () => trainHere(data, join(data, 'dataset.json', 'run')),
      2,
      /dataset\.json\/run cannot be written because part of the path is a file/,
    );
  }));

run();
