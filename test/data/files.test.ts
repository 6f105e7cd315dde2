import { execFileSync } from 'node:child_process';
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type ActionError, DataError, FitError, UsageError } from '../../engine/errors.ts';
import { check } from '../../runner/commands/check.ts';
import {
  assertWritable,
  directorySource,
  makeEmptyFolder,
  readFailure,
  writeFailure,
  writeFileAtomic,
} from '../../runner/host/files.ts';
import { runFolder } from '../../runner/host/run_folder.ts';
import { printed } from '../captured.ts';
import { inFolder, label, soundFiles, writeFiles } from './corpus.ts';

async function failureOf(action: Promise<unknown>, folder: string): Promise<ActionError> {
  const failure = await action.then(
    () => new Error('nothing failed'),
    (error: ActionError) => error,
  );
  failure.message = failure.message.replaceAll(folder, 'DIR');
  return failure as ActionError;
}

test('a source lists files with /, empty folders with a trailing /, no hidden ones, links followed', async () => {
  await inFolder(async (folder) => {
    await writeFiles(folder, { 'b/c/2.txt': '22', 'a.txt': '1', '.git/x': '', 'b/.DS_Store': '' });
    await mkdir(join(folder, 'empty/deeper'), { recursive: true });
    await symlink(join(folder, 'b'), join(folder, 'link'));
    const source = directorySource(folder);
    assert.equal(await source.list(), ['a.txt', 'b/c/2.txt', 'empty/deeper/', 'link/c/2.txt']);
    assert.is(await source.size('b/c/2.txt'), 2);
    assert.equal([...(await source.read('a.txt'))], [0x31]);
    const failure = await failureOf(source.read('none.txt'), folder);
    assert.instance(failure, DataError);
    assert.is(failure.message, 'DIR/none.txt does not exist; check the path');
    assert.is(
      (await failureOf(directorySource(join(folder, 'a.txt')).list(), folder)).message,
      'DIR/a.txt is a file where a folder is needed; give the folder that holds it',
    );
    assert.is(
      (await failureOf(source.read('b'), folder)).message,
      'DIR/b is a folder where a file is needed; give one of the files in it',
    );
  });
});

test('a pipe is refused instead of waited for', async () => {
  if (process.platform === 'win32') return;
  await inFolder(async (folder) => {
    execFileSync('mkfifo', [join(folder, 'a.nii')]);
    const failure = await failureOf(directorySource(folder).read('a.nii'), folder);
    assert.instance(failure, DataError);
    assert.is(
      failure.message,
      'DIR/a.nii is no regular file (a pipe, a socket or a device); copy what it holds into a file',
    );
  });
});

test('a file is written whole, nothing is left beside it, and nothing is overwritten unasked', async () => {
  await inFolder(async (folder) => {
    const path = join(folder, 'new/x.bin');
    await writeFileAtomic(path, Uint8Array.of(1, 2, 3));
    assert.equal([...(await readFile(path))], [1, 2, 3]);
    const refused = await failureOf(writeFileAtomic(path, 'other'), folder);
    assert.instance(refused, UsageError);
    assert.is(refused.message, 'DIR/new/x.bin exists already; give another place or --force to replace it');
    assert.equal([...(await readFile(path))], [1, 2, 3]);
    await writeFileAtomic(path, 'other', { overwrite: true });
    assert.is(await readFile(path, 'utf8'), 'other');
    assert.equal(await readdir(join(folder, 'new')), ['x.bin']);
  });
});

test('a write that fails keeps the old file, leaves nothing behind and says why', async () => {
  await inFolder(async (folder) => {
    await writeFile(join(folder, 'file'), '');
    const under = await failureOf(writeFileAtomic(join(folder, 'file/x.bin'), 'x'), folder);
    assert.instance(under, UsageError);
    assert.is(
      under.message,
      'DIR/file/x.bin cannot be written because there is a file of that name where a folder is needed; give another place',
    );
    await mkdir(join(folder, 'taken/full'), { recursive: true });
    const taken = await failureOf(writeFileAtomic(join(folder, 'taken'), 'x', { overwrite: true }), folder);
    assert.is(taken.message, 'DIR/taken cannot be written because there is a folder of that name; give another place');
    assert.equal((await readdir(folder)).sort(), ['file', 'taken']);
  });
});

test('whether a file could be written is found out without a trace', async () => {
  await inFolder(async (folder) => {
    await writeFiles(folder, { x: 'mine' });
    await assertWritable(join(folder, 'new/deep/y'));
    await assertWritable(join(folder, 'x'), { overwrite: true });
    assert.is(
      (await failureOf(assertWritable(join(folder, 'x')), folder)).message,
      'DIR/x exists already; give another place or --force to replace it',
    );
    const long = await failureOf(assertWritable(join(folder, 'y'.repeat(300))), folder);
    assert.match(long.message, /cannot be written because the name is too long; give another place$/);
    assert.equal(await readdir(folder), ['x']);
    assert.is(await readFile(join(folder, 'x'), 'utf8'), 'mine');
  });
});

test('a place in which nothing can be made is refused at once', async () => {
  // Node's own recursive mkdir never ends there
  for (const path of process.platform === 'linux' ? ['/proc/a/b/run', '/proc/self/run'] : []) {
    for (const write of [
      () => writeFileAtomic(`${path}/x`, 'x'),
      () => assertWritable(`${path}/x`),
      () => makeEmptyFolder(path),
      () => runFolder(path).append('log', 'x'),
    ]) {
      const failure = await failureOf(write(), path);
      assert.instance(failure, UsageError);
      assert.match(failure.message, /^DIR\S* cannot be written because nothing can be made in that place; /);
    }
  }
});

test('full disk, quota and file size are FitError; read-only and forbidden places are UsageError', () => {
  const system = (code: string) => Object.assign(new Error(`${code}: as the system says`), { code });
  const sentence = (failure: unknown) => (failure as ActionError).message;
  const full = writeFailure('run/x', system('ENOSPC'));
  assert.instance(full, FitError);
  assert.is((full as FitError).exitCode, 5);
  assert.is(sentence(full), 'run/x cannot be written because the disk is full; free some space or give another place');
  assert.instance(writeFailure('run/x', system('EDQUOT')), FitError);
  assert.instance(writeFailure('run/x', system('EFBIG')), FitError);
  const readOnly = writeFailure('run/x', system('EROFS'));
  assert.instance(readOnly, UsageError);
  assert.is(sentence(readOnly), 'run/x cannot be written because the disk is mounted read-only; give another place');
  assert.is(
    sentence(writeFailure('run/x', system('EACCES'))),
    'run/x cannot be written because this user may not write there; give another place',
  );
  assert.is(
    sentence(writeFailure('run/x', system('EIO'))),
    'run/x cannot be written because EIO: as the system says; give another place',
  );
  assert.is(
    sentence(readFailure('a.nii', system('EACCES'))),
    'a.nii may not be read by this user; change its permissions',
  );
  assert.is(
    sentence(readFailure('a.nii', system('EIO'))),
    'a.nii cannot be read (EIO: as the system says); check the disk',
  );
  const bug = new TypeError('a bug');
  assert.is(writeFailure('x', bug), bug, 'other failures pass unchanged');
});

test('a folder has to be empty', async () => {
  await inFolder(async (folder) => {
    await makeEmptyFolder(join(folder, 'new/deep'));
    await makeEmptyFolder(join(folder, 'new/deep'));
    await writeFiles(folder, { '1': '', '2': '', '3': '', '4': '' });
    assert.is(
      (await failureOf(makeEmptyFolder(folder), folder)).message,
      'DIR is not empty (it holds 1, 2, 3 and 2 more); give a new or empty folder',
    );
    assert.is(
      (await failureOf(makeEmptyFolder(join(folder, '1')), folder)).message,
      'DIR/1 cannot be written because there is a file of that name where a folder is needed; give another place',
    );
  });
});

/** What the check command prints, and its exit code. */
async function checked(folder: string, json: boolean): Promise<{ code: number; text: string }> {
  const { code, text } = await printed(() => check(folder, { json }));
  return { code, text: text.replaceAll(folder, 'DIR') };
}

test('check prints lines or one JSON value, and exits 4 when there are errors', async () => {
  await inFolder(async (folder) => {
    await writeFiles(folder, await soundFiles());
    const sound = await checked(folder, false);
    assert.is(sound.code, 0);
    await writeFileAtomic(join(folder, 'labelsTr/a.nii.gz'), await label([0, 4]), { overwrite: true });
    const broken = await checked(folder, false);
    assert.is(broken.code, 4);
    const json = await checked(folder, true);
    assert.is(json.code, 4);
    const { problems, errors, warnings, files, dataset } = JSON.parse(json.text);
    assert.equal([errors, warnings, files], [1, 0, 7]);
    assert.equal(problems, [
      {
        severity: 'error',
        kind: 'label-values',
        file: 'labelsTr/a.nii.gz',
        message:
          'labelsTr/a.nii.gz has the labels {0, 4} but the data set names {0, 1, 2}; name 4 in "labels", or map it to a named value, for example "labels_map": {"4": 0}',
      },
    ]);
    assert.equal([dataset.labelled, dataset.unlabelled, dataset.test], [['a', 'b'], ['u'], ['t']]);
  });
});

test.run();
