/** Which folders `train -o` takes. No GPU is asked for. */
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { UsageError } from '../../engine/errors.ts';
import { assertRunFolder } from '../../runner/commands/run_identity.ts';
import { encodeCheckpoint } from '../../runner/train/checkpoint.ts';
import { trainConfig } from '../../runner/train/config.ts';
import { type Files, inFolder, soundFiles, writeFiles } from '../data/corpus.ts';
import { thresholdWeights } from '../predict/threshold_model.ts';
import { trainHere } from './tiny_run.ts';

/** What is said of a folder with these files, DIR for its parent; nothing where it is taken. */
async function saidOf(files: Files, before = async (_folder: string) => {}): Promise<string | undefined> {
  let said: string | undefined;
  await inFolder(async (folder) => {
    const run = join(folder, 'run');
    await mkdir(run);
    await writeFiles(run, files);
    await before(run);
    await assertRunFolder(run, join(folder, 'data')).catch((failure) => {
      assert.instance(failure, UsageError, String(failure));
      said = failure.message.replaceAll(folder, 'DIR');
    });
  });
  return said;
}

const CONFIG = JSON.stringify(trainConfig({}));
const SPLIT = JSON.stringify({ hash: 'x', labelled: ['a'], unlabelled: [], validation: [], test: [] });
const CHECKPOINT = encodeCheckpoint({
  ...{ step: 1, hash: 'x', data: 'y', stage: 'supervised', best: null },
  groups: new Map([['student', thresholdWeights()]]),
});

test('new, empty and unrelated folders are taken, and runs, also those that lost a file', async () => {
  await inFolder(async (folder) => assertRunFolder(join(folder, 'new'), folder));
  for (const files of [
    {},
    { 'notes.txt': 'mine', 'figures/a.png': '', '.lock': '{}' },
    { 'config.json': CONFIG, 'log.jsonl': '', 'images/a.png': '' },
    { 'split.json': SPLIT, 'log.jsonl': '' },
    { 'split.json': SPLIT, 'config.json': '{' },
    { 'checkpoints/latest.safetensors': CHECKPOINT, 'model.safetensors': '' },
  ] as Files[])
    assert.is(await saidOf(files), undefined, Object.keys(files).join());
  assert.is(await saidOf({}, (run) => mkdir(join(run, 'checkpoints')).then()), undefined, 'as --force leaves it');
});

test('files of the names that a run writes are kept', async () => {
  assert.is(
    await saidOf({ 'model.safetensors': '', 'log.jsonl': '', 'checkpoints/epoch3.pt': '', 'notes.txt': '' }),
    'DIR/run holds checkpoints/, log.jsonl, model.safetensors but no config.json of a run, and only a run is continued or replaced; choose another folder for -o, or move these away',
  );
  for (const name of ['split.json', 'env.json', 'tuning.json', 'status.json', 'model.json'])
    assert.match((await saidOf({ [name]: '{}' })) ?? '', new RegExp(`^DIR/run holds ${name} but no config`));
  assert.match(
    (await saidOf({ 'checkpoints/latest.safetensors': 'torch' })) ?? '',
    /^DIR\/run holds checkpoints\/ but/,
  );
});

test("another program's config.json is told in one sentence", async () => {
  const network = JSON.stringify({ architectures: ['Bert'], method: 'x', sizes: Array(500).fill(7) });
  assert.is(
    await saidOf({ 'config.json': network, 'model.safetensors': '' }),
    "DIR/run/config.json is not a run's: it has no 'steps'; choose another folder for -o",
  );
  assert.match((await saidOf({ 'config.json': '// no' })) ?? '', /config\.json is not a run's: it is not JSON; choose/);
  assert.match((await saidOf({ 'config.json': '[]' })) ?? '', /config\.json is not a run's: it has no entries; choose/);
});

test('a data set is no run folder, whichever it is', async () => {
  const sentence = (mark: string) =>
    `DIR/run is a data set (it holds ${mark}), and a run does not belong there; choose another folder for -o`;
  assert.is(await saidOf(await soundFiles()), sentence('dataset.json'));
  assert.is(await saidOf({ 'imagesTr/a.nii': '' }), sentence('imagesTr'));
  assert.is(await saidOf({ 'images/a.nii': '', 'config.json': '{"a": 1}' }), sentence('images'));
  await inFolder(async (folder) => {
    await writeFiles(join(folder, 'data'), { 'case.h5': '', 'train.list': '' });
    await symlink(join(folder, 'data'), join(folder, 'link'));
    const failure = await assertRunFolder(join(folder, 'link'), join(folder, 'data')).catch((error) => error);
    assert.match(failure.message, /link is a data set, and a run does not belong there; choose another folder for -o$/);
  });
});

test('train refuses before it writes, with --force too', () =>
  inFolder(async (folder) => {
    const data = join(folder, 'data');
    const output = join(folder, 'model');
    await writeFiles(data, await soundFiles());
    await mkdir(output);
    await writeFile(join(output, 'model.safetensors'), 'mine');
    for (const force of [false, true]) {
      for (const [place, message] of [
        [output, /holds model\.safetensors but no config\.json of a run, .*, or move it away$/],
        [data, /is a data set/],
      ] as const) {
        const before = await readdir(place);
        const failure = await trainHere(data, place, { force }).catch((error) => error);
        assert.instance(failure, UsageError);
        assert.match(failure.message, message);
        assert.equal(await readdir(place), before);
      }
    }
    assert.is(await readFile(join(output, 'model.safetensors'), 'utf8'), 'mine');
  }));

test.run();
