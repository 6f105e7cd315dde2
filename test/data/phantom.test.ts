import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { UsageError } from '../../engine/errors.ts';
import { type SynthOptions, synth } from '../../runner/commands/synth.ts';
import { checkDataset } from '../../runner/data/check.ts';
import { orientationCode } from '../../runner/data/orientation.ts';
import { phantom } from '../../runner/data/phantom.ts';
import { directorySource } from '../../runner/host/files.ts';
import { printed } from '../captured.ts';
import { inFolder, writeFiles } from './corpus.ts';

async function sha256(...arrays: ArrayBufferView[]): Promise<string> {
  const bytes = new Uint8Array(await new Blob(arrays as ArrayBufferView<ArrayBuffer>[]).arrayBuffer());
  const digest = await crypto.subtle.digest('SHA-256', bytes);
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

test('a seed gives the same voxels for ever', async () => {
  const { image, label, source } = phantom(7, 3, 16, 4);
  assert.equal(source.dim, [15, 12, 14]);
  assert.is(await sha256(image, label), 'e8e577754ab9e68803c69ee948e137fad3185e4f47a080402181e7632fca168b');
});

test('cases and seeds differ', async () => {
  const voxels = [phantom(0, 0, 16, 4), phantom(0, 1, 16, 4), phantom(1, 0, 16, 4)].map(({ image }) => sha256(image));
  assert.is(new Set(await Promise.all(voxels)).size, 3);
});

test('structures lie inside one another and are rare in that order', () => {
  for (let index = 0; index < 12; index++) {
    const { label, source } = phantom(0, index, 32, 4);
    const [nx, ny, nz] = source.axes.map(({ axis }) => source.dim[axis]);
    const counts = [0, 0, 0, 0];
    let background = 0;
    label.forEach((value, at) => {
      counts[value]++;
      if (value !== 2) return;
      const x = at % nx;
      const y = Math.floor(at / nx) % ny;
      const z = Math.floor(at / (nx * ny));
      assert.ok(x > 0 && x < nx - 1 && y > 0 && y < ny - 1, 'the chamber does not touch the edge');
      for (const step of [-1, 1, -nx, nx]) if (label[at + step] === 0) background++;
      if (z > 0 && label[at - nx * ny] === 0) background++;
      if (z < nz - 1 && label[at + nx * ny] === 0) background++;
    });
    assert.is(background, 0, 'the chamber has a wall of organ or lesion all around');
    assert.ok(counts[0] > 10 * counts[1], `background ${counts}`);
    assert.ok(counts[1] > 2 * counts[2] && counts[1] > 2 * counts[3], `organ ${counts}`);
    assert.ok(counts[2] > 20 && counts[3] > 20, `chamber and lesion ${counts}`);
    assert.ok(counts[3] < 0.01 * label.length, `the lesion is rare ${counts}`);
  }
});

test('fewer classes merge a structure into the one around it, more classes add others', () => {
  const all = phantom(0, 0, 24, 6).label;
  for (const [classes, merged] of [
    [5, [0, 1, 2, 3, 4, 0]],
    [4, [0, 1, 2, 3, 0, 0]],
    [3, [0, 1, 2, 1, 0, 0]],
    [2, [0, 1, 1, 1, 0, 0]],
  ] as const) {
    assert.equal(
      phantom(0, 0, 24, classes).label,
      all.map((value) => merged[value]),
    );
  }
  assert.equal([...new Set(all)].sort(), [0, 1, 2, 3, 4, 5]);
});

test('tissues overlap in brightness', () => {
  const { image, label } = phantom(0, 2, 32, 4);
  const values = [0, 1, 2, 3].map((value) => image.filter((_, at) => label[at] === value).sort());
  const quantile = (value: number, q: number) => values[value][Math.floor(q * (values[value].length - 1))];
  assert.ok(quantile(1, 0.95) > quantile(2, 0.05), 'organ and chamber');
  assert.ok(quantile(3, 0.95) > quantile(1, 0.05), 'lesion and organ');
  assert.ok(quantile(0, 0.95) > quantile(1, 0.5), 'organ and the rest of the body');
});

test('shape, spacing and orientation vary', () => {
  const sources = Array.from({ length: 12 }, (_, index) => phantom(0, index, 16, 2).source);
  assert.ok(new Set(sources.map(({ axes }) => orientationCode(axes))).size >= 4);
  assert.ok(new Set(sources.map(({ dim }) => dim.join())).size >= 10);
  const spacings = sources.map(({ affine }) => Math.hypot(affine[0], affine[4], affine[8]));
  assert.ok(Math.max(...spacings) / Math.min(...spacings) > 1.2);
});

const SMALL: SynthOptions = { cases: 3, labelled: 2, test: 1, size: 16 };

test('synth writes a sound data set, twice the same', async () => {
  await inFolder(async (folder) => {
    const [first, second] = [join(folder, 'first'), join(folder, 'second')];
    assert.is(
      (await printed(() => synth(first, SMALL))).text.replace(folder, 'DIR'),
      'DIR/first: 2 labelled, 1 unlabelled and 1 test phantoms of about 16x16x16 voxels with 3 structures\n',
    );
    const json = JSON.parse((await printed(() => synth(second, { ...SMALL, json: true }))).text);
    assert.equal(json, {
      directory: second,
      cases: 3,
      labelled: 2,
      unlabelled: 1,
      test: 1,
      size: 16,
      classes: 4,
      seed: 0,
    });
    const { dataset, problems } = await checkDataset(directorySource(first));
    assert.equal(
      problems.filter(({ severity }) => severity === 'error'),
      [],
    );
    assert.is(dataset!.layout, 'nnunet');
    assert.equal(
      [dataset!.labelled.length, dataset!.unlabelled.length, dataset!.test.length],
      [SMALL.labelled, 1, SMALL.test],
    );
    assert.ok(dataset!.test[0].label);
    assert.equal(
      dataset!.labels.map(({ name }) => name),
      ['background', 'organ', 'chamber', 'lesion'],
    );
    const files = (await readdir(first, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
    assert.is(files.length, 4 + 2 + 1 + 1);
    for (const file of files) {
      const path = join(file.parentPath, file.name);
      assert.equal(await readFile(path), await readFile(path.replace(first, second)), file.name);
    }
  });
});

test('synth overwrites nothing but its own', async () => {
  await inFolder(async (folder) => {
    const refusal = async (options: SynthOptions) => {
      const failure = await synth(folder, options).catch((error: Error) => error);
      assert.instance(failure, UsageError);
      return (failure as Error).message.replaceAll(folder, 'DIR');
    };
    await writeFiles(folder, { 'dataset.json': '{}' });
    assert.is(await refusal(SMALL), 'DIR is not empty (it holds dataset.json); give a new or empty folder');
    assert.is(
      await refusal({ ...SMALL, force: true }),
      'DIR holds a data set that synth did not make, and --force will not remove it; give another folder',
    );
    const own = join(folder, 'own');
    await printed(() => synth(own, SMALL));
    const taken = await synth(own, SMALL).catch((error: Error) => error);
    assert.match(
      (taken as Error).message,
      /own is not empty \(it holds .*\); give a new or empty folder, or --force to replace these phantoms$/,
    );
    await printed(() => synth(own, { ...SMALL, cases: 2, force: true }));
    assert.equal(await readdir(join(own, 'imagesTr')), ['phantom_0001_0000.nii.gz', 'phantom_0002_0000.nii.gz']);
    assert.not.ok((await readdir(own)).includes('imagesUn'));
    await writeFiles(own, { 'predictions/mine.txt': 'mine' });
    const kept = await synth(own, { ...SMALL, force: true }).catch((error: Error) => error);
    assert.instance(kept, UsageError);
    assert.is(
      (kept as Error).message.replaceAll(folder, 'DIR'),
      'DIR/own/predictions/mine.txt is not from synth, and --force removes nothing but its phantoms; move it away or give another folder',
    );
    assert.equal((await readdir(join(own, 'imagesTr'))).length, 2, 'nothing was removed');
    await rm(join(own, 'predictions'), { recursive: true });
    await rm(join(own, 'dataset.json')); // as where synth was killed
    await printed(() => synth(own, { ...SMALL, force: true }));
    assert.ok((await readdir(own)).includes('dataset.json'));
    assert.is(await refusal({ labelled: 25 }), '--labelled is 25 but should be a whole number from 0 to 24');
    assert.is(await refusal({ classes: 7 }), '--classes is 7 but should be a whole number from 2 to 6');
    assert.is(await refusal({ size: 40.5 }), '--size is 40.5 but should be a whole number from 16 to 256');
  });
});

test.run();
