/** `train` as a whole, on a tiny data set: what it refuses, what stops it, and what it leaves in the run folder. */
import { access, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { writeNifti } from '../../runner/data/nifti.ts';
import { decodeCheckpoint } from '../../runner/train/checkpoint.ts';
import { RUN_FILES } from '../../runner/train/run_store.ts';
import { geometry, image, inFolder, label, soundFiles, withJson, writeFiles } from '../data/corpus.ts';
import { rejects } from '../data/rejects.ts';
import { run } from '../harness.ts';
import { resultOf, tinyDataset, trainHere } from './tiny_run.ts';

const readJson = async (...path: string[]) => JSON.parse(await readFile(join(...path), 'utf8'));

async function logOf(folder: string): Promise<Record<string, unknown>[]> {
  const text = await readFile(join(folder, RUN_FILES.log), 'utf8');
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

/** Every file of a folder, as bytes. */
async function contents(folder: string): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile()) files[path] = await readFile(path, 'base64');
  }
  return files;
}

test('a run leaves configuration, split, environment, log, checkpoint and model; once more it changes nothing', () =>
  inFolder(async (folder) => {
    const data = await tinyDataset(folder);
    const output = join(folder, 'run');
    assert.is(await trainHere(data, output, { steps: 6, validation: 1 }), 0);
    assert.equal((await readdir(output)).sort(), [
      'checkpoints',
      'config.json',
      'env.json',
      'log.jsonl',
      'model.json',
      'model.safetensors',
      'split.json',
      'status.json',
      'tuning.json',
    ]);
    const config = await readJson(output, RUN_FILES.config);
    assert.equal(
      [config.steps, config.patch, config.network.channels, config.validation],
      [6, [16, 16, 16], [4, 8], 1],
    );
    const split = await readJson(output, RUN_FILES.split);
    assert.equal([split.labelled.length, split.validation.length, split.test.length], [2, 1, 1]);
    const kinds = (await logOf(output)).map(({ kind, step }) => `${kind} ${step}`);
    const steps = [1, 2, 3, 4, 5, 6].map((step) => `step ${step}`);
    assert.equal(kinds, ['stage 0', ...steps.slice(0, 5), 'checkpoint 5', 'step 6', 'validation 6', 'checkpoint 6']);
    const { dice, step } = await readJson(output, RUN_FILES.status);
    assert.is(step, 6);
    assert.ok(dice >= 0 && dice <= 1, String(dice));
    assert.equal(decodeCheckpoint(await readFile(join(output, RUN_FILES.best)), 'best').best, { dice, step: 6 });

    const before = await resultOf(output);
    assert.is(await trainHere(data, output, { steps: 6, validation: 1 }), 0);
    assert.equal(await resultOf(output), before);
  }));

test('a run folder of another configuration or split is refused with both values and kept; --force replaces it', () =>
  inFolder(async (folder) => {
    const data = await tinyDataset(folder);
    const output = join(folder, 'run');
    assert.is(await trainHere(data, output, { steps: 2 }), 0);
    const before = await contents(output);
    const refused = (options: Parameters<typeof trainHere>[2], message: RegExp) =>
      rejects(() => trainHere(data, output, { steps: 2, ...options }), 2, message);
    await refused({ steps: 3 }, /holds a run with other options: steps is 2 there and 3 now; .* or --force/);
    await refused({ settings: ['optimiser.rate=0.1'] }, /optimiser\.rate is 0\.3 there and 0\.1 now/);
    await refused({ labelled: 2 }, /labelled cases are 3 there and 2 now/);
    await writeFile(join(folder, 'list'), 'phantom_0002\nphantom_0001\nphantom_0003\n');
    await refused({ labelled: join(folder, 'list') }, /labelled case 1 is phantom_0001 there and phantom_0002 now/);
    assert.equal(await contents(output), before);

    await writeFile(join(output, 'notes.txt'), 'mine');
    assert.is(await trainHere(data, output, { steps: 1, force: true }), 0);
    assert.is((await readJson(output, RUN_FILES.config)).steps, 1);
    assert.is(await readFile(join(output, 'notes.txt'), 'utf8'), 'mine');
  }));

test('--max-hours and a file STOP save, and stop with 75', () =>
  inFolder(async (folder) => {
    const data = await tinyDataset(folder);
    const output = join(folder, 'run');
    const savedStep = async () => decodeCheckpoint(await readFile(join(output, RUN_FILES.latest)), 'latest').step;
    assert.is(await trainHere(data, output, { maxHours: 0 }), 75);
    assert.is(await savedStep(), 0);
    await writeFile(join(output, 'STOP'), '');
    assert.is(await trainHere(data, output), 75);
    const step = await savedStep();
    assert.ok(step < 24, String(step));
    assert.not.ok((await readdir(output)).includes('STOP'));
    assert.not.ok((await readdir(output)).includes(RUN_FILES.weights));
  }));

test('a folder in which another process trains is refused', () =>
  inFolder(async (folder) => {
    const data = await tinyDataset(folder);
    const output = join(folder, 'run');
    await mkdir(output);
    await writeFile(join(output, '.lock'), JSON.stringify({ pid: process.ppid, host: hostname(), token: 't' }));
    await rejects(() => trainHere(data, output), 2, /process \d+ on .* is training in/);
    assert.equal(await readdir(output), ['.lock']);
  }));

test('losses that are not finite end the run with 6 and keep the last checkpoint', () =>
  inFolder(async (folder) => {
    const data = await tinyDataset(folder);
    const output = join(folder, 'run');
    const settings = ['optimiser.rate=1e30', 'optimiser.warmUp=0', 'checkpointEvery=1'];
    await rejects(
      () => trainHere(data, output, { settings }),
      6,
      /^step \d+: '[^']+' \[[\d, ]+\] (is the first to hold a NaN or an infinity|held a NaN or an infinity before)\b.*(became|holds) (NaN|-?Infinity) (at|after) step \d+; the last checkpoint is kept: lower the learning rate/,
    );
    const { groups } = decodeCheckpoint(await readFile(join(output, RUN_FILES.latest)), 'latest');
    for (const values of groups.values())
      for (const [name, { data: numbers }] of values) assert.ok(numbers.every(Number.isFinite), name);
    const log = await logOf(output);
    assert.ok(
      log.some(({ kind }) => kind === 'step'),
      'the losses before are in the log',
    );
    assert.not.ok((await readdir(output)).includes('.lock'));
  }));

test('a data set without a labelled case, or without a voxel of a class, is refused before training', () =>
  inFolder(async (folder) => {
    const none = join(folder, 'none');
    const { 'labelsTr/a.nii.gz': a, 'labelsTr/b.nii.gz': b, ...unlabelled } = await soundFiles();
    assert.ok(a && b);
    await writeFiles(none, withJson(unlabelled, { numTraining: 0 }));
    await rejects(() => trainHere(none, join(folder, 'run')), 4, /labelled/);

    const absent = join(folder, 'absent');
    const only = await label([0, 1]);
    await writeFiles(absent, { ...(await soundFiles()), 'labelsTr/a.nii.gz': only, 'labelsTr/b.nii.gz': only });
    await rejects(
      () => trainHere(absent, join(folder, 'run')),
      4,
      /no voxel of the 2 labelled cases is 'lesion' \(2\); label it in a case/,
    );
    const files = await readdir(join(folder, 'run'));
    assert.not.ok(files.includes('checkpoints'), files.join());
  }));

test('volumes smaller than the patch train, and so do several channels', () =>
  inFolder(async (folder) => {
    const data = join(folder, 'data');
    const sample = { dim: [9, 10, 11], spacing: [1, 1, 1], channels: 2 } as const;
    const source = geometry(sample);
    const labels = Uint8Array.from({ length: 990 }, (_, i) => (i % 90 < 40 ? 1 : 0));
    await writeFiles(data, {
      'dataset.json': JSON.stringify({
        channel_names: { 0: 'T1', 1: 'T2' },
        labels: { background: 0, organ: 1 },
        numTraining: 1,
        file_ending: '.nii.gz',
      }),
      'imagesTr/a_0000.nii.gz': await image(1, { ...sample, channels: 1 }),
      'imagesTr/a_0001.nii.gz': await image(2, { ...sample, channels: 1 }),
      'labelsTr/a.nii.gz': await writeNifti(labels, source),
    });
    const output = join(folder, 'run');
    assert.is(await trainHere(data, output, { steps: 3 }), 0);
    assert.is((await readJson(output, RUN_FILES.modelCard)).network.inChannels, 2);
    assert.is((await logOf(output)).filter(({ kind }) => kind === 'step').length, 3);
  }));

test('a configuration file that cannot be used is refused by its name, and flags go over it', () =>
  inFolder(async (folder) => {
    const data = await tinyDataset(folder);
    const config = join(folder, 'config.json');
    const output = join(folder, 'run');
    await writeFile(config, '{"steps": 3,');
    await rejects(() => trainHere(data, output, { config }), 4, /config\.json is not JSON/);
    await rejects(() => trainHere(data, output, { config: join(folder, 'none') }), 4, /none does not exist/);
    await writeFile(config, '{"stepz": 3}');
    await rejects(
      () => trainHere(data, output, { config }),
      4,
      /config\.json cannot be used: 'stepz' is not an option/,
    );
    await writeFile(config, '{"action": {"stages": []}}');
    await rejects(() => trainHere(data, output, { config }), 4, /config\.json cannot be used: 'action\.stages' has 0/);
    await writeFile(config, '{"steps": 3, "optimiser": {"rate": 0.1}, "seed": 5}');
    assert.is(await trainHere(data, output, { config, steps: 1, settings: ['optimiser.momentum=0.5'] }), 0);
    const { steps, seed, optimiser } = await readJson(output, RUN_FILES.config);
    assert.equal([steps, seed, optimiser.rate, optimiser.momentum], [1, 5, 0.1, 0.5]);
  }));

test('a damaged checkpoint or configuration is named, and nothing is overwritten', () =>
  inFolder(async (folder) => {
    const data = await tinyDataset(folder);
    const output = join(folder, 'run');
    assert.is(await trainHere(data, output, { steps: 1 }), 0);
    const latest = join(output, RUN_FILES.latest);
    const whole = await readFile(latest);
    await writeFile(latest, whole.subarray(0, whole.length - 5));
    await rejects(
      () => trainHere(data, output, { steps: 1 }),
      4,
      /run\/checkpoints\/latest\.safetensors is not a sound .*; copy .*run\/checkpoints\/best\.safetensors over it, .*, or remove it to start over from step 0/,
    );
    assert.is((await readFile(latest)).length, whole.length - 5);
    await rm(latest);
    await writeFile(join(output, RUN_FILES.config), '{');
    await rejects(() => trainHere(data, output, { steps: 1 }), 4, /config\.json is damaged .* --force/);
    await access(join(output, RUN_FILES.weights));
  }));

test("a run's config.json or split.json that holds something else is named with the ways out, and kept", () =>
  inFolder(async (folder) => {
    const data = await tinyDataset(folder);
    const output = join(folder, 'run');
    assert.is(await trainHere(data, output, { steps: 1 }), 0);
    const refused = async (path: string, text: string, what: string) => {
      const before = await readFile(join(output, path));
      await writeFile(join(output, path), text);
      const message = new RegExp(`run/${path} is damaged \\(${what}\\); restore it, remove it to .*, or .* --force$`);
      await rejects(() => trainHere(data, output, { steps: 1 }), 4, message);
      assert.is(await readFile(join(output, path), 'utf8'), text);
      await writeFile(join(output, path), before);
    };
    for (const text of ['null', '[]', '{}', '0', '""', '[1]'])
      await refused(RUN_FILES.config, text, `it holds ${text.replaceAll(/[[\]]/g, '\\$&')} where an object .*`);
    for (const text of ['null', '7']) await refused(RUN_FILES.split, text, `it holds ${text} where an object .*`);
    for (const text of ['{}', '[]']) await refused(RUN_FILES.split, text, "'hash' is missing");
    const split = await readJson(output, RUN_FILES.split);
    await refused(RUN_FILES.split, JSON.stringify({ ...split, test: [1] }), "'test.0' is 1 where string is needed");
    await rm(join(output, RUN_FILES.config));
    await rm(join(output, RUN_FILES.split));
    assert.is(await trainHere(data, output, { steps: 1 }), 0);
    assert.equal(await readJson(output, RUN_FILES.split), split);
  }));

run();
