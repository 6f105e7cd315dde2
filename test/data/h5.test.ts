import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DataError } from '../../engine/errors.ts';
import { checkDataset } from '../../runner/data/check.ts';
import { parseDataset } from '../../runner/data/dataset.ts';
import { readH5 } from '../../runner/data/h5.ts';
import { loadCase } from '../../runner/data/load_case.ts';
import { directorySource } from '../../runner/host/files.ts';
import { inFolder, writeFiles } from './corpus.ts';

type Array3 = Float32Array | Uint8Array | BigInt64Array;

/** An .h5 file as SSL4MIS writes it: datasets of axes (x, y, z), gzipped. */
async function h5(datasets: Record<string, { data: Array3; shape: number[] }>): Promise<Uint8Array> {
  const wasm = await import('h5wasm');
  const { FS } = await wasm.ready;
  const file = new wasm.File('/made.h5', 'w');
  for (const [name, { data, shape }] of Object.entries(datasets)) {
    file.create_dataset({ name, data, shape, chunks: shape, compression: 'gzip', compression_opts: 4 });
  }
  file.close();
  return Uint8Array.from(FS.readFile('/made.h5') as Uint8Array);
}

const SHAPE = [2, 3, 4];
const image = (seed: number) => ({ data: Float32Array.from({ length: 24 }, (_, i) => i + seed), shape: SHAPE });
const label = { data: Uint8Array.from({ length: 24 }, (_, i) => i % 2), shape: SHAPE };
const leftAtrium = async (seed: number) => h5({ image: image(seed), label });

async function refusal(bytes: Uint8Array): Promise<string> {
  try {
    await readH5(bytes, 'a.h5', 'image');
  } catch (failure) {
    assert.instance(failure, DataError);
    return (failure as DataError).message;
  }
  throw new Error('nothing was refused');
}

test('(x, y, z) arrays become volumes with x fastest, spacing 1 and an identity affine', async () => {
  const volume = await readH5(await leftAtrium(0), 'a.h5', 'image');
  assert.equal(volume!.shape, [4, 3, 2]);
  assert.equal(volume!.spacing, [1, 1, 1]);
  assert.equal(volume!.source.dim, [2, 3, 4]);
  for (const [x, y, z] of [
    [0, 0, 0],
    [1, 0, 0],
    [0, 2, 3],
    [1, 1, 2],
  ]) {
    assert.is(volume!.data[(z * 3 + y) * 2 + x], (x * 3 + y) * 4 + z);
  }
  assert.is(await readH5(await h5({ image: image(0) }), 'a.h5', 'label'), undefined);
});

test('files that cannot be used', async () => {
  const sound = await leftAtrium(0);
  assert.is(
    await refusal(new TextEncoder().encode('not hdf5')),
    'a.h5 is not an HDF5 file (it starts with 6e 6f 74 20, HDF5 with 89 48 44 46); export it again',
  );
  assert.is(
    await refusal(new Uint8Array(0)),
    'a.h5 is not an HDF5 file (it starts with nothing, HDF5 with 89 48 44 46); export it again',
  );
  assert.is(
    await refusal(sound.subarray(0, 1000)),
    'a.h5 is damaged or cut short at 1000 bytes; export or copy it again',
  );
  assert.is(
    await refusal(await h5({ volume: image(0) })),
    'a.h5 holds volume but no dataset "image"; convert it as SSL4MIS does',
  );
  assert.is(
    await refusal(await h5({ image: { data: new Float32Array(24), shape: [6, 4] } })),
    '"image" of a.h5 has 2 dimensions (6 x 4) where 3 are needed; store one (x, y, z) volume a file',
  );
  assert.is(
    await refusal(await h5({ image: { data: new BigInt64Array(24), shape: SHAPE } })),
    '"image" of a.h5 does not hold numbers of at most 32 bits; store the image as float32 and the label as uint8',
  );
  assert.is((await readH5(sound, 'a.h5', 'image'))!.data.length, 24, 'a failure leaves the reader usable');
});

test('the left-atrium layout: a folder per case, order of train.list kept, labels discovered', async () => {
  await inFolder(async (folder) => {
    await writeFiles(folder, {
      'train.list': 'C\r\nA\r\n',
      'test.list': 'B\n',
      'LA/A/mri_norm2.h5': await leftAtrium(0),
      'LA/B/mri_norm2.h5': await leftAtrium(100),
      'LA/C/mri_norm2.h5': await leftAtrium(200),
    });
    const source = directorySource(folder);
    const dataset = await parseDataset(source);
    assert.is(dataset.layout, 'h5');
    const files = (id: string) => ({ id, images: [`LA/${id}/mri_norm2.h5`], label: `LA/${id}/mri_norm2.h5` });
    assert.equal(dataset.labelled, [files('C'), files('A')]);
    assert.equal(dataset.test, [files('B')]);
    assert.equal(dataset.labels, [
      { value: 0, name: 'background' },
      { value: 1, name: 'label 1' },
    ]);
    const { image: read, label: drawn } = await loadCase(dataset, dataset.labelled[0], source);
    assert.is(read.data[0], 200);
    assert.equal([...new Set(drawn!.data)], [0, 1]);
    const report = await checkDataset(source);
    assert.equal(
      report.problems.map(({ message }) => message),
      ['The .h5 files hold no voxel spacing; volumes are taken as 1 x 1 x 1 mm and distances count voxels'],
    );
  });
});

test('the layout of data/CASE.h5 with train.txt, val.txt and test.txt, and what check says of it', async () => {
  await inFolder(async (folder) => {
    await writeFiles(folder, {
      'train.txt': 'b.h5\na\nnowhere\n',
      'val.txt': 'c\n',
      'test.txt': 'd\na\n',
      'data/a.h5': await leftAtrium(0),
      'data/b.h5': await h5({ image: image(1) }),
      'data/c.h5': await leftAtrium(2),
      'data/d.h5': await leftAtrium(3),
      'data/e.h5': await leftAtrium(4),
    });
    const { dataset, problems } = await checkDataset(directorySource(folder));
    const ids = [dataset!.labelled, dataset!.validation, dataset!.test].map((cases) => cases.map(({ id }) => id));
    assert.equal(ids, [['b'], ['c'], ['d', 'a']]);
    assert.equal(
      problems.map(({ severity, message }) => `${severity}: ${message}`),
      [
        'error: train.txt lists the case a, which test.txt already lists; keep one line',
        'error: train.txt lists the case nowhere but there is no .h5 file of it; restore it or remove the line',
        'error: data/b.h5 has no dataset "label"; add it, or take the case out of the lists of labelled cases',
        'warning: data/e.h5 is in none of the lists and is not used; add it to a list or remove it',
        'warning: The .h5 files hold no voxel spacing; volumes are taken as 1 x 1 x 1 mm and distances count voxels',
      ],
    );
  });
});

test('without lists every case is for training', async () => {
  await inFolder(async (folder) => {
    await writeFiles(folder, { 'a.h5': await leftAtrium(0), 'b.h5': await leftAtrium(1) });
    const dataset = await parseDataset(directorySource(folder));
    assert.equal(
      dataset.labelled.map(({ id }) => id),
      ['a', 'b'],
    );
  });
});

test.run();
