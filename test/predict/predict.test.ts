/** `predict` on files: a model folder and images in, label files out. */
import { readdir, readFile, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DataError, UsageError } from '../../engine/errors.ts';
import { evaluateFolders } from '../../runner/commands/evaluate_folders.ts';
import { type PredictOptions, predict } from '../../runner/commands/predict.ts';
import { readNifti, readNiftiHeader, writeNifti } from '../../runner/data/nifti.ts';
import { canonicalAxes } from '../../runner/data/orientation.ts';
import type { SourceGeometry } from '../../runner/data/volume.ts';
import { encodeCheckpoint } from '../../runner/train/checkpoint.ts';
import { geometry, image, inFolder, nifti, soundFiles, writeFiles } from '../data/corpus.ts';
import { run } from '../harness.ts';
import { random } from '../reference/dense.ts';
import { expectedClasses, LABELS, thresholdWeights, writeModel } from './threshold_model.ts';

interface Ran {
  code: number;
  out: string;
  err: string;
}

/** Runs the command; `onError` sees what it says on stderr. Paths in texts are cut to what follows the folder. */
async function predicted(
  folder: string,
  inputs: readonly string[],
  options: Partial<PredictOptions> = {},
  onError: (text: string) => void = () => undefined,
): Promise<Ran> {
  const ran: Ran = { code: 0, out: '', err: '' };
  const writes = [process.stdout.write, process.stderr.write];
  process.stdout.write = ((text: string) => {
    ran.out += text;
    return true;
  }) as typeof process.stdout.write;
  process.stderr.write = ((text: string) => {
    ran.err += text;
    onError(text);
    return true;
  }) as typeof process.stderr.write;
  try {
    const output = join(folder, 'out');
    ran.code = await predict(
      join(folder, 'model'),
      inputs.map((input) => join(folder, input)),
      { output, gpu: process.env.ACTION3D_GPU, ...options },
    );
  } finally {
    [process.stdout.write, process.stderr.write] = writes;
  }
  ran.out = ran.out.replaceAll(`${folder}/`, '');
  ran.err = ran.err.replaceAll(`${folder}/`, '');
  return ran;
}

/** What the command throws, as its type and its message. */
async function refused(
  folder: string,
  inputs: readonly string[],
  type: new (...args: never[]) => Error,
  options: Partial<PredictOptions> = {},
): Promise<string> {
  const failure = await predicted(folder, inputs, options).then(
    () => assert.unreachable('nothing was thrown'),
    (error) => error,
  );
  assert.instance(failure, type, String(failure));
  return failure.message.replaceAll(`${folder}/`, '');
}

const ARRAYS = { 2: Uint8Array, 16: Float32Array, 512: Uint16Array };

/** Voxels of a NIfTI-1 file in its own order, and the header's bytes of size, spacing and affine. */
function raw(bytes: Uint8Array) {
  const file = gunzipSync(bytes);
  const view = new DataView(file.buffer, file.byteOffset);
  const type = view.getInt16(70, true) as keyof typeof ARRAYS;
  const voxels = new Uint8Array(file.subarray(view.getFloat32(108, true)));
  return {
    type,
    values: new ARRAYS[type](voxels.buffer),
    size: [...file.subarray(40, 56)],
    spacing: [...file.subarray(76, 108)],
    affine: [...file.subarray(252, 328)],
  };
}

/** Columns of 0.7, 0.9 and 2.5 mm, turned 20 degrees about two axes, i running to the left. */
function oblique(): SourceGeometry {
  const [c, s] = [Math.cos(Math.PI / 9), Math.sin(Math.PI / 9)];
  const columns = [
    [-c * 0.7, -s * 0.7 * c, s * 0.7 * s],
    [-s * 0.9, c * 0.9 * c, -c * 0.9 * s],
    [0, s * 2.5, c * 2.5],
  ];
  const row = (r: number, shift: number) => [columns[0][r], columns[1][r], columns[2][r], shift].map(Math.fround);
  const affine = [...row(0, 31.5), ...row(1, -12.25), ...row(2, 7), 0, 0, 0, 1];
  return { dim: [8, 7, 6], affine, axes: canonicalAxes(affine)!, code: 1 };
}

/** Superior first, then left, then anterior. */
function turned(): SourceGeometry {
  const affine = [0, -1.5, 0, 4, 0, 0, 1, -3, 2, 0, 0, 1, 0, 0, 0, 1];
  return { dim: [5, 9, 6], affine, axes: canonicalAxes(affine)!, code: 2 };
}

for (const [name, source] of [
  ['oblique', oblique()],
  ['turned', turned()],
  ['LPS', geometry({ dim: [9, 6, 7], spacing: [0.8, 0.8, 3], shift: -20, lps: true })],
] as const) {
  const voxels = source.dim[0] * source.dim[1] * source.dim[2];

  test(`the label of an ${name} file lies voxel on voxel`, () =>
    inFolder(async (folder) => {
      await writeModel(join(folder, 'model'));
      await writeFiles(folder, {
        'scan.nii.gz': await writeNifti(Float32Array.from(random([voxels], 3).data), source),
      });
      await predicted(folder, ['scan.nii.gz']);
      const [scan, label] = await Promise.all(
        ['scan.nii.gz', 'out/scan.nii.gz'].map((file) => readFile(join(folder, file))),
      );
      for (const part of ['size', 'spacing', 'affine'] as const) assert.equal(raw(label)[part], raw(scan)[part], part);
      assert.is(raw(label).type, 2);
      const found = raw(label).values;
      const wrong = [...expectedClasses(raw(scan).values)].filter((c, i) => c >= 0 && c !== found[i]);
      assert.is(wrong.length, 0, `${wrong.length} of ${voxels} voxels differ`);
    }));

  test(`a border in an ${name} file stays between its two slices when the model works at another spacing`, () =>
    inFolder(async (folder) => {
      await writeModel(join(folder, 'model'), { spacing: [1.1, 1.3, 0.9] });
      // A step between two slices of each axis in turn.
      for (const axis of [0, 1, 2]) {
        const stride = [1, source.dim[0], source.dim[0] * source.dim[1]][axis];
        const size = source.dim[axis];
        const at = (i: number) => Math.floor(i / stride) % size;
        const step = await inFileOrder(source, (i) => (at(i) < 3 ? 0 : 40));
        await writeFiles(folder, { [`${axis}/scan.nii.gz`]: step });
        const output = join(folder, `out${axis}`);
        await predicted(folder, [`${axis}/scan.nii.gz`], { output });
        const label = raw(await readFile(join(output, 'scan.nii.gz')));
        assert.equal(label.affine, raw(step).affine);
        const wrong = [...label.values].filter((value, i) => value > 0 !== at(i) >= 3);
        assert.is(wrong.length, 0, `${wrong.length} of ${voxels} voxels differ along ${'ijk'[axis]}`);
      }
    }));
}

/** A float32 file whose voxels, counted as the file stores them, have the given values. */
async function inFileOrder(source: SourceGeometry, value: (i: number) => number): Promise<Uint8Array> {
  const length = source.dim[0] * source.dim[1] * source.dim[2];
  const file = gunzipSync(await writeNifti(new Float32Array(length), source));
  const view = new DataView(file.buffer, file.byteOffset + file.length - 4 * length);
  for (let i = 0; i < length; i++) view.setFloat32(4 * i, value(i), true);
  return gzipSync(file);
}

test('a file holds the names and values of the labels, as uint16 where one is above 255', () =>
  inFolder(async (folder) => {
    const labels = LABELS.map((label, c) => ({ ...label, value: [0, 7, 300][c] }));
    await writeModel(join(folder, 'model'), { labels });
    await writeFiles(folder, { 'scan.nii.gz': await image(5) });
    await predicted(folder, ['scan.nii.gz']);
    const bytes = await readFile(join(folder, 'out/scan.nii.gz'));
    const header = await readNiftiHeader(bytes, 'out');
    assert.equal(header.labelNames, { 0: 'background', 7: 'organ', 300: 'lesion' });
    assert.is(header.dtype, 'uint16');
    assert.equal(
      [...new Set(raw(bytes).values)].sort((a, b) => a - b),
      [0, 7, 300],
    );
    const { labels: named } = JSON.parse(await readFile(join(folder, 'out/dataset.json'), 'utf8'));
    assert.equal(named, { background: 0, organ: 7, lesion: 300 });
  }));

test('says what it does, one line a case, and prints one value with --json', () =>
  inFolder(async (folder) => {
    await writeModel(join(folder, 'model'));
    await writeFiles(folder, { 'images/a.nii.gz': await image(1), 'images/b.nii': gunzipSync(await image(2)) });
    const first = await predicted(folder, ['images']);
    assert.is(first.out, 'out: 2 predictions\n');
    assert.match(
      first.err,
      /^2 cases on .+\n(.+\n)*1\/2 a {2}4 x 5 x 6 voxels {2}\S+ m?s\n2\/2 b {2}4 x 5 x 6 voxels {2}\S+ m?s\n$/,
    );
    const second = await predicted(folder, ['images'], { json: true, quiet: true, force: true });
    assert.is(second.err, '');
    const value = JSON.parse(second.out);
    for (const item of value.predicted) delete item.seconds;
    assert.equal(value, {
      output: 'out',
      model: 'model/model.safetensors',
      predicted: [
        { id: 'a', file: 'out/a.nii.gz', inputs: ['images/a.nii.gz'] },
        { id: 'b', file: 'out/b.nii.gz', inputs: ['images/b.nii'] },
      ],
      failed: [],
      kept: 0,
      left: 0,
    });
  }));

test('channels come as CASE_0000, CASE_0001 or as one 4D file, with the same result', () =>
  inFolder(async (folder) => {
    await writeModel(join(folder, 'model'), { channels: ['T1', 'T2'] });
    const both = await nifti((voxel) => (voxel * 7919) % 1009, { channels: 2 });
    const { data } = await readNifti(both, 'both');
    const half = data.length / 2;
    await writeFiles(folder, {
      'images/p_0001.nii.gz': await nifti((voxel) => data[half + voxel]),
      'images/p_0000.nii.gz': await nifti((voxel) => data[voxel]),
      'images/q.nii.gz': both,
    });
    assert.is((await predicted(folder, ['images'])).code, 0);
    assert.equal((await readdir(join(folder, 'out'))).sort(), ['dataset.json', 'p.nii.gz', 'q.nii.gz']);
    const [p, q] = await Promise.all(['p', 'q'].map((id) => readFile(join(folder, `out/${id}.nii.gz`))));
    assert.equal([...raw(p).values], [...raw(q).values]);
    const { code, err } = await predicted(folder, ['images/p_0001.nii.gz'], { output: join(folder, 'other') });
    assert.is(code, 4);
    assert.match(err, /error: images\/p_0001\.nii\.gz has 1 channel but the model takes 2 \(T1, T2\)/);
  }));

test('names that end in a number are cases of their own where the numbers do not count channels', () =>
  inFolder(async (folder) => {
    await writeModel(join(folder, 'model'));
    const scans = async (prefix: string, numbers: readonly number[]) => {
      for (const n of numbers)
        await writeFiles(folder, { [`${prefix}_${String(n).padStart(4, '0')}.nii.gz`]: await image(n) });
    };
    await scans('images/scan', [1, 2]);
    await scans('images/odd', [0, 2]);
    await scans('images/other', [0]);
    await scans('images/series', [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    assert.is((await predicted(folder, ['images'])).code, 0);
    const names = (await readdir(join(folder, 'out'))).filter((name) => !name.startsWith('series_')).sort();
    assert.equal(names, [
      ...['dataset.json', 'odd_0000.nii.gz', 'odd_0002.nii.gz', 'other.nii.gz'],
      ...['scan_0001.nii.gz', 'scan_0002.nii.gz'],
    ]);
  }));

test('several channels of a case are refused by a model that takes one, which takes each of them alone', () =>
  inFolder(async (folder) => {
    await writeModel(join(folder, 'model'));
    for (const file of ['a_0000', 'a_0001', 'b_0000', 'b_0001'])
      await writeFiles(folder, { [`images/${file}.nii.gz`]: await image(file.charCodeAt(0)) });
    const [a0, a1] = ['images/a_0000.nii.gz', 'images/a_0001.nii.gz'];
    const sentence =
      'images/a_0000.nii.gz to a_0001.nii.gz look like 2 channels of a, but the model takes 1; give only the file of the channel that it was trained on, for example images/a_0000.nii.gz (scans of their own need names that do not count from _0000)';
    assert.is(await refused(folder, ['images'], DataError), sentence);
    assert.is(await refused(folder, [a1, a0], DataError), sentence);
    assert.not.ok((await readdir(folder)).includes('out'));
    assert.is((await predicted(folder, [a0, 'images/b_0000.nii.gz'])).code, 0);
    assert.is((await predicted(folder, [a1])).code, 0);
    assert.equal((await readdir(join(folder, 'out'))).sort(), [
      'a.nii.gz',
      'a_0001.nii.gz',
      'b.nii.gz',
      'dataset.json',
    ]);
  }));

test('takes the test images of a data set, and evaluate finds the names of the labels', () =>
  inFolder(async (folder) => {
    await writeModel(join(folder, 'model'));
    await writeFiles(join(folder, 'set'), await soundFiles());
    assert.is((await predicted(folder, ['set'])).code, 0);
    const { label_names } = await evaluateFolders(join(folder, 'out'), join(folder, 'set/labelsTs'));
    assert.equal(label_names, { 1: 'organ', 2: 'lesion' });
  }));

test('an input that fails does not stop the others; all are told at the end', () =>
  inFolder(async (folder) => {
    await writeModel(join(folder, 'model'));
    const sound = await image(1);
    await writeFiles(folder, {
      'images/a.nii.gz': sound.subarray(0, sound.length / 2),
      'images/b.nii.gz': sound,
      'images/c.nii.gz': await nifti(() => 5),
      'images/d.nii.gz': await nifti((voxel) => (voxel === 0 ? Number.NaN : voxel)),
      'images/e.nii.gz': await image(2, { dim: [6, 5, 1] }),
      'images/f.nii.gz': await image(2, { channels: 3 }),
    });
    const { code, out, err } = await predicted(folder, ['images'], { quiet: true });
    assert.is(code, 4);
    assert.is(out, '');
    assert.equal(
      err.split('\n').map((line) => line.slice(0, 33)),
      [
        'error: images/a.nii.gz is cut sho',
        'error: images/c.nii.gz has the va',
        'error: images/d.nii.gz has 1 of 1',
        'error: images/e.nii.gz is 2D (sha',
        'error: images/f.nii.gz has 3 chan',
        '',
      ],
    );
    assert.equal((await readdir(join(folder, 'out'))).sort(), ['b.nii.gz', 'dataset.json']);
  }));

test('probabilities are written beside the labels, one volume a class', () =>
  inFolder(async (folder) => {
    await writeModel(join(folder, 'model'), { spacing: [1.5, 1.5, 1.5] });
    await writeFiles(folder, { 'scan.nii.gz': await image(4, { lps: true }) });
    await predicted(folder, ['scan.nii.gz'], { probabilities: true, overlap: 0.25, batch: 3 });
    const file = await readFile(join(folder, 'out/probabilities/scan_probabilities.nii.gz'));
    const { data, channels, source } = await readNifti(file, 'probabilities');
    const labels = await readNifti(await readFile(join(folder, 'out/scan.nii.gz')), 'labels');
    assert.is(channels, 3);
    assert.equal(source.affine, labels.source.affine);
    const n = labels.data.length;
    labels.data.forEach((label, i) => {
      assert.ok(data[label * n + i] >= Math.max(data[i], data[n + i], data[2 * n + i]) - 1e-6);
    });
  }));

test('nothing is replaced without --force, and --continue keeps what is there', () =>
  inFolder(async (folder) => {
    await writeModel(join(folder, 'model'));
    await writeFiles(folder, {
      'images/a.nii.gz': await image(1),
      'images/b.nii.gz': await image(2),
      'out/a.nii.gz': 'mine',
    });
    assert.is(
      await refused(folder, ['images'], UsageError),
      'out holds 1 of these 2 predictions already, out/a.nii.gz first; give another folder, --force to replace them, or --continue to keep them and make the others',
    );
    assert.equal(await readdir(join(folder, 'out')), ['a.nii.gz']);
    const { out } = await predicted(folder, ['images'], { continue: true });
    assert.match(out, /: 1 prediction, 1 kept\n$/);
    assert.is(await readFile(join(folder, 'out/a.nii.gz'), 'utf8'), 'mine');
    assert.is(
      await refused(folder, ['images'], UsageError, { continue: true, force: true }),
      '--force replaces predictions and --continue keeps them; leave one of the two out',
    );
    assert.is((await predicted(folder, ['images'], { force: true })).code, 0);
    assert.is.not(await readFile(join(folder, 'out/a.nii.gz'), 'utf8'), 'mine');
  }));

test('an input is never replaced, nor the dataset.json of a data set, nor labels of other names', () =>
  inFolder(async (folder) => {
    await writeModel(join(folder, 'model'));
    await writeFiles(join(folder, 'set'), await soundFiles());
    await writeFiles(folder, { 'images/a.nii.gz': await image(1) });
    const images = join(folder, 'images');
    assert.match(
      await refused(folder, ['images'], UsageError, { output: images, force: true }),
      /^images\/a\.nii\.gz is one of the inputs, and its prediction would replace it/,
    );
    await writeFiles(folder, { 'channels/b_0000.nii.gz': await image(1) });
    await symlink(join(folder, 'channels'), join(folder, 'link'));
    assert.match(
      await refused(folder, ['channels'], UsageError, { output: join(folder, 'link'), force: true }),
      /^link is the folder of the input channels\/b_0000\.nii\.gz, and predictions there would be taken for images/,
    );
    assert.match(
      await refused(folder, ['images'], UsageError, { output: join(folder, 'set'), force: true }),
      /^set\/dataset\.json describes a data set/,
    );
    assert.match(
      await refused(folder, ['images'], UsageError, { output: join(folder, 'set/labelsTr'), force: true }),
      /^set\/labelsTr belongs to the data set set\/dataset\.json/,
    );
    await predicted(folder, ['images']);
    const labels = LABELS.map((label) => ({ ...label, name: `${label.name} 2` }));
    await rm(join(folder, 'model'), { recursive: true });
    await writeModel(join(folder, 'model'), { labels });
    await writeFiles(folder, { 'images2/b.nii.gz': await image(2) });
    assert.match(await refused(folder, ['images2'], UsageError), /holds predictions with other labels/);
  }));

test('a file in the place of the run or of the predictions is named', () =>
  inFolder(async (folder) => {
    await writeModel(join(folder, 'model'));
    await writeFiles(folder, { 'a.nii.gz': await image(1), out: 'mine' });
    assert.is(
      await refused(folder, ['a.nii.gz'], UsageError),
      'out is a file where the folder of the predictions is needed; give another place with -o',
    );
    assert.is(await readFile(join(folder, 'out'), 'utf8'), 'mine');
    const said = async (path: string) => {
      const failure = await predict(join(folder, path), ['a.nii.gz'], { output: join(folder, 'new') }).catch((e) => e);
      assert.instance(failure, DataError);
      return failure.message.replaceAll(`${folder}/`, '');
    };
    await writeFiles(folder, { 'model/checkpoints/latest.safetensors': '' });
    assert.is(
      await said('model/checkpoints/latest.safetensors'),
      'model/checkpoints/latest.safetensors is a file; give the run folder, model',
    );
    assert.is(await said('model/model.safetensors'), 'model/model.safetensors is a file; give the run folder, model');
    assert.match(await said('none'), /^none\/model\.json does not exist, so there is no model/);
  }));

test('paths without a volume, and cases of one name, are refused', () =>
  inFolder(async (folder) => {
    await writeModel(join(folder, 'model'));
    await writeFiles(folder, {
      'x/a.nii.gz': await image(1),
      'y/a.nii.gz': await image(2),
      'notes/readme.txt': 'hello',
    });
    assert.is(await refused(folder, ['none'], DataError), 'none does not exist; check the path');
    assert.match(await refused(folder, ['notes'], DataError), /notes holds no \.nii\.gz, .* and is no data set/);
    assert.match(await refused(folder, ['notes/readme.txt'], DataError), /^notes\/readme\.txt is no volume/);
    assert.match(
      await refused(folder, ['x', 'y'], UsageError),
      /^x\/a\.nii\.gz and y\/a\.nii\.gz are both called a; predict them into different folders/,
    );
    const set = { ...(await soundFiles()) };
    delete set['imagesTs/t_0000.nii.gz'];
    delete set['labelsTs/t.nii.gz'];
    await writeFiles(join(folder, 'set'), set);
    assert.match(await refused(folder, ['set'], DataError), /set has no test images \(imagesTs\/\)/);
  }));

test('a run that has not finished predicts with its best checkpoint, else its latest, and says so', () =>
  inFolder(async (folder) => {
    const model = join(folder, 'model');
    const checkpoint = (step: number) =>
      encodeCheckpoint({
        ...{ step, hash: 'x', data: 'y', stage: 'supervised', best: null },
        groups: new Map([['student', thresholdWeights()]]),
      });
    await writeModel(model);
    await writeFiles(folder, { 'a.nii.gz': await image(1) });
    await rm(join(model, 'model.safetensors'));
    assert.match(
      await refused(folder, ['a.nii.gz'], DataError),
      /has a model\.json but no weights \(model\.safetensors, /,
    );
    await writeFiles(model, { 'checkpoints/latest.safetensors': checkpoint(200) });
    const latest = await predicted(folder, ['a.nii.gz']);
    assert.match(latest.err, /^Training has not finished: .*latest\.safetensors, step 200\.\n/);
    await writeFiles(model, { 'checkpoints/best.safetensors': checkpoint(150) });
    const best = await predicted(folder, ['a.nii.gz'], { force: true });
    assert.match(best.err, /^Training has not finished: .*best\.safetensors, step 150\.\n/);
    await rm(join(model, 'model.json'));
    assert.match(
      await refused(folder, ['a.nii.gz'], DataError),
      /^model\/model\.json does not exist, so there is no model/,
    );
  }));

test('Ctrl-C keeps what is complete, and --continue makes the rest', () =>
  inFolder(async (folder) => {
    await writeModel(join(folder, 'model'));
    for (const id of ['a', 'b', 'c'])
      await writeFiles(folder, { [`images/${id}.nii.gz`]: await image(id.charCodeAt(0)) });
    const stopped = await predicted(folder, ['images'], {}, (text) => {
      if (text.startsWith('1/3 a')) process.emit('SIGINT');
    });
    assert.is(stopped.code, 75);
    assert.match(stopped.err, /Stopping after the windows in flight/);
    assert.match(stopped.out, /: 1 prediction, 2 not begun\n$/);
    assert.equal((await readdir(join(folder, 'out'))).sort(), ['a.nii.gz', 'dataset.json']);
    const rest = await predicted(folder, ['images'], { continue: true });
    assert.is(rest.code, 0);
    assert.match(rest.out, /: 2 predictions, 1 kept\n$/);
    assert.is(process.listenerCount('SIGINT'), 0);
  }));

run();
