import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DataError } from '../../engine/errors.ts';
import { type Dataset, parseDataset } from '../../runner/data/dataset.ts';
import { loadCase } from '../../runner/data/load_case.ts';
import { directorySource } from '../../runner/host/files.ts';
import { type Files, image, inFolder, label, nifti, soundFiles, withJson, writeFiles } from './corpus.ts';

/** Parses a folder of these files; what `body` gets can still be read. */
async function opened(
  files: Files,
  body: (dataset: Dataset, source: ReturnType<typeof directorySource>) => Promise<void> | void,
): Promise<void> {
  await inFolder(async (folder) => {
    await writeFiles(folder, files);
    const source = directorySource(folder);
    await body(await parseDataset(source), source);
  });
}

/** The message of the DataError that `action` fails with, the folder's own path written as DIR. */
async function refusal(action: () => Promise<unknown>, folder: string): Promise<string> {
  try {
    await action();
  } catch (failure) {
    assert.instance(failure, DataError);
    return (failure as DataError).message.replaceAll(folder, 'DIR');
  }
  throw new Error('nothing was refused');
}

const ORGAN = [
  { value: 0, name: 'background' },
  { value: 1, name: 'organ' },
  { value: 2, name: 'lesion' },
];

test('nnU-Net v2: channels by file, unlabelled folder, test labels', async () => {
  const files = withJson(await soundFiles(), { channel_names: { 1: 'T2', 0: 'T1' } });
  const second = { 'imagesTr/a_0001.nii.gz': await image(5), 'imagesTr/b_0001.nii.gz': await image(6) };
  const others = { 'imagesUn/u_0001.nii.gz': await image(7), 'imagesTs/t_0001.nii.gz': await image(8) };
  const hidden = { 'imagesTr/._a_0000.nii.gz': 'resource fork' };
  await opened({ ...files, ...second, ...others, ...hidden }, async (dataset, source) => {
    assert.is(dataset.layout, 'nnunet');
    assert.is(dataset.name, 'Sample');
    assert.equal(dataset.channels, [{ name: 'T1' }, { name: 'T2' }]);
    assert.equal(dataset.labels, ORGAN);
    assert.equal(dataset.labelled, [
      { id: 'a', images: ['imagesTr/a_0000.nii.gz', 'imagesTr/a_0001.nii.gz'], label: 'labelsTr/a.nii.gz' },
      { id: 'b', images: ['imagesTr/b_0000.nii.gz', 'imagesTr/b_0001.nii.gz'], label: 'labelsTr/b.nii.gz' },
    ]);
    assert.equal(dataset.unlabelled, [{ id: 'u', images: ['imagesUn/u_0000.nii.gz', 'imagesUn/u_0001.nii.gz'] }]);
    assert.equal(dataset.test, [
      { id: 't', images: ['imagesTs/t_0000.nii.gz', 'imagesTs/t_0001.nii.gz'], label: 'labelsTs/t.nii.gz' },
    ]);
    const loaded = await loadCase(dataset, dataset.labelled[0], source);
    assert.is(loaded.image.channels, 2);
    assert.is(loaded.image.data.length, 240);
    assert.equal([...loaded.label!.data.subarray(0, 4)], [0, 1, 2, 0]);
    assert.is((await loadCase(dataset, dataset.unlabelled[0], source)).label, undefined);
  });
});

test('nnU-Net v2: the dataset key names files anywhere', async () => {
  const files = {
    'dataset.json': JSON.stringify({
      channel_names: { 0: 'CT' },
      labels: { background: 0, organ: 1 },
      dataset: { x: { images: ['./scans/1.nii.gz'], label: 'drawn/1.nii.gz' }, y: { images: ['scans/2.nii.gz'] } },
    }),
    'scans/1.nii.gz': await image(1),
    'scans/2.nii.gz': await image(2),
    'drawn/1.nii.gz': await label([0, 1]),
  };
  await opened(files, (dataset) => {
    assert.equal(dataset.labelled, [{ id: 'x', images: ['scans/1.nii.gz'], label: 'drawn/1.nii.gz' }]);
    assert.equal(dataset.unlabelled, [{ id: 'y', images: ['scans/2.nii.gz'] }]);
  });
});

test('Decathlon: the order of training is kept, labels and modalities by number', async () => {
  const entry = (id: string) => ({ image: `./imagesTr/${id}.nii.gz`, label: `./labelsTr/${id}.nii.gz` });
  const files: Files = {
    'dataset.json': JSON.stringify({
      name: 'Brain',
      modality: { 1: 'T1', 0: 'FLAIR' },
      labels: { 1: 'organ', 0: 'background', 2: 'lesion' },
      training: ['z', 'k', 'b'].map(entry),
      test: ['./imagesTs/t.nii.gz', './imagesTs/s.nii.gz'],
      unlabeled: ['./more/m.nii.gz'],
    }),
    'imagesTs/t.nii.gz': await image(20, { channels: 2 }),
    'imagesTs/s.nii.gz': await image(21, { channels: 2 }),
    'labelsTs/t.nii.gz': await label(),
    'imagesUn/u.nii.gz': await image(22, { channels: 2 }),
    'more/m.nii.gz': await image(23, { channels: 2 }),
  };
  for (const [i, id] of ['z', 'k', 'b'].entries()) {
    files[`imagesTr/${id}.nii.gz`] = await image(i, { channels: 2 });
    files[`labelsTr/${id}.nii.gz`] = await label();
  }
  await opened(files, async (dataset, source) => {
    assert.is(dataset.layout, 'decathlon');
    assert.equal(dataset.channels, [{ name: 'FLAIR' }, { name: 'T1' }]);
    assert.equal(dataset.labels, ORGAN);
    assert.equal(
      dataset.labelled.map(({ id }) => id),
      ['z', 'k', 'b'],
    );
    assert.equal(dataset.unlabelled, [
      { id: 'm', images: ['more/m.nii.gz'] },
      { id: 'u', images: ['imagesUn/u.nii.gz'] },
    ]);
    assert.equal(dataset.test, [
      { id: 't', images: ['imagesTs/t.nii.gz'], label: 'labelsTs/t.nii.gz' },
      { id: 's', images: ['imagesTs/s.nii.gz'] },
    ]);
    assert.is((await loadCase(dataset, dataset.labelled[0], source)).image.channels, 2);
  });
});

test('Decathlon list over numbered files: channels are grouped, in imagesUn/ too', async () => {
  const files: Files = {
    'dataset.json': JSON.stringify({
      modality: { 0: 'T1', 1: 'T2' },
      labels: { 0: 'background', 1: 'organ' },
      training: [{ image: './imagesTr/a.nii.gz', label: './labelsTr/a.nii.gz' }],
    }),
    'labelsTr/a.nii.gz': await label([0, 1]),
  };
  for (const [i, name] of ['imagesTr/a_0000', 'imagesTr/a_0001', 'imagesUn/u_0000', 'imagesUn/u_0001'].entries()) {
    files[`${name}.nii.gz`] = await image(i);
  }
  await opened(files, (dataset) => {
    assert.equal(dataset.labelled, [
      { id: 'a', images: ['imagesTr/a_0000.nii.gz', 'imagesTr/a_0001.nii.gz'], label: 'labelsTr/a.nii.gz' },
    ]);
    assert.equal(dataset.unlabelled, [{ id: 'u', images: ['imagesUn/u_0000.nii.gz', 'imagesUn/u_0001.nii.gz'] }]);
  });
});

test('MONAI datalist: folds in subfolders, several images a case, validation', async () => {
  const files: Files = {
    'datalist.json': JSON.stringify({
      training: [
        { fold: 0, image: ['p1/t1.nii.gz', 'p1/t2.nii.gz'], label: 'p1/seg.nii.gz' },
        { fold: 1, image: ['p2/t1.nii.gz', 'p2/t2.nii.gz'], label: 'p2/seg.nii.gz' },
      ],
      validation: [{ image: ['p3/t1.nii.gz', 'p3/t2.nii.gz'], label: 'p3/seg.nii.gz' }],
      testing: [{ image: ['p4/t1.nii.gz', 'p4/t2.nii.gz'] }],
    }),
  };
  for (const i of [1, 2, 3, 4]) {
    files[`p${i}/t1.nii.gz`] = await image(i);
    files[`p${i}/t2.nii.gz`] = await image(10 + i);
    files[`p${i}/seg.nii.gz`] = await label([0, 4]);
  }
  await opened(files, async (dataset, source) => {
    assert.is(dataset.layout, 'datalist');
    assert.is(dataset.channels.length, 2);
    assert.equal(
      [dataset.labelled, dataset.validation, dataset.test].map((cases) => cases.map(({ id }) => id)),
      [['p1/t1', 'p2/t1'], ['p3/t1'], ['p4/t1']],
    );
    assert.equal(dataset.labels, [
      { value: 0, name: 'background' },
      { value: 4, name: 'label 4' },
    ]);
    const { label: drawn } = await loadCase(dataset, dataset.labelled[0], source);
    assert.equal([...drawn!.data.subarray(0, 4)], [0, 1, 0, 1], 'voxels hold classes, not values');
  });
});

test('a plain folder: pairs by name, suffixes, images without labels', async () => {
  const files = {
    'images/p1.nii.gz': await image(1),
    'images/p2.nii': await image(2),
    'images/p3.nii.gz': await image(3),
    'labels/p1.nii.gz': await label([0, 1]),
    'labels/p2_seg.nii.gz': await label([0, 3]),
    'unlabelled/q.nii.gz': await image(4),
  };
  await opened(files, (dataset) => {
    assert.is(dataset.layout, 'plain');
    assert.equal(dataset.labelled, [
      { id: 'p1', images: ['images/p1.nii.gz'], label: 'labels/p1.nii.gz' },
      { id: 'p2', images: ['images/p2.nii'], label: 'labels/p2_seg.nii.gz' },
    ]);
    assert.equal(
      dataset.unlabelled.map(({ id }) => id),
      ['p3', 'q'],
    );
    assert.equal(
      dataset.labels.map(({ value }) => value),
      [0, 1, 3],
    );
  });
});

test('imagesTr and labelsTr without a dataset.json: numbers are channels where the labels say so', async () => {
  const channels = {
    'imagesTr/c_0000.nii.gz': await image(1),
    'imagesTr/c_0001.nii.gz': await image(2),
    'labelsTr/c.nii.gz': await label(),
  };
  await opened(channels, (dataset) => {
    assert.is(dataset.channels.length, 2);
    assert.equal(dataset.labelled[0].images, ['imagesTr/c_0000.nii.gz', 'imagesTr/c_0001.nii.gz']);
  });
  const numbered = {
    'imagesTr/patient_0001.nii.gz': await image(1),
    'imagesTr/patient_0002.nii.gz': await image(2),
    'labelsTr/patient_0001.nii.gz': await label(),
  };
  await opened(numbered, (dataset) => {
    assert.is(dataset.channels.length, 1);
    assert.equal(
      [dataset.labelled, dataset.unlabelled].map((cases) => cases.map(({ id }) => id)),
      [['patient_0001'], ['patient_0002']],
    );
  });
});

test('labels_map and gaps between values become classes', async () => {
  const files = withJson(await soundFiles(), { labels: { background: 0, organ: 3, lesion: 5 }, labels_map: { 7: 5 } });
  await opened({ ...files, 'labelsTr/a.nii.gz': await label([0, 3, 5, 7]) }, async (dataset, source) => {
    const { label: drawn } = await loadCase(dataset, dataset.labelled[0], source);
    assert.equal([...drawn!.data.subarray(0, 4)], [0, 1, 2, 2]);
  });
});

test('a .hdr/.img pair is one volume', async () => {
  const { gunzipSync } = await import('node:zlib');
  const bytes = new Uint8Array(gunzipSync(await image(1)));
  const header = bytes.slice(0, 352);
  new DataView(header.buffer).setFloat32(108, 0, true);
  header.set([0x6e, 0x69, 0x31, 0], 344); // ni1
  const files = {
    'images/p.hdr': header,
    'images/p.img': bytes.slice(352),
    'labels/p.nii.gz': await label(),
  };
  await opened(files, async (dataset, source) => {
    const { image: read } = await loadCase(dataset, dataset.labelled[0], source);
    assert.is(read.data[1], Math.fround(((7919 + 104729) % 1009) / 10));
  });
});

test('a data set with errors is not opened, and the first is named', async () => {
  await inFolder(async (folder) => {
    const { 'imagesTr/a_0000.nii.gz': _, ...files } = await soundFiles();
    const training = ['a', 'c'].map((id) => ({ image: `imagesTr/${id}_0000.nii.gz` }));
    await writeFiles(folder, withJson(files, { training, channel_names: undefined, modality: { 0: 'MRI' } }));
    assert.is(
      await refusal(() => parseDataset(directorySource(folder)), folder),
      'DIR: imagesTr/a_0000.nii.gz is listed in dataset.json but does not exist; restore the file or remove its entry (and 1 more; `action3d check` lists them all)',
    );
  });
});

test('names that JavaScript reserves are refused, not passed over', async () => {
  const files = await soundFiles();
  const json = files['dataset.json'] as string;
  for (const name of ['constructor', '__proto__', 'prototype']) {
    await inFolder(async (folder) => {
      await writeFiles(folder, { ...files, 'dataset.json': json.replace('"organ"', `"${name}"`) });
      assert.is(
        await refusal(() => parseDataset(directorySource(folder)), folder),
        `DIR/dataset.json: "${name}" in "labels" is a name that JavaScript reserves; give it another`,
      );
    });
  }
  // by number, in the order of the Decathlon, and as a case, such names are fine
  const labels = { 0: 'background', 1: 'constructor', 2: '__proto__' };
  const cases = {
    'imagesUn/constructor_0000.nii.gz': await image(5),
    'imagesUn/__proto___0000.nii.gz': await image(6),
  };
  await opened({ ...withJson(files, { labels }), ...cases }, async (dataset) => {
    assert.equal(
      dataset.labels.map(({ name }) => name),
      ['background', 'constructor', '__proto__'],
    );
    assert.ok(dataset.unlabelled.some(({ id }) => id === 'constructor'));
    assert.ok(dataset.unlabelled.some(({ id }) => id === '__proto__'));
  });
});

test('a case that check would call broken is not loaded', async () => {
  const broken: [Files, string][] = [
    [
      { 'labelsTr/a.nii.gz': await label([0, 1, 2], { dim: [6, 5, 3] }) },
      'DIR/labelsTr/a.nii.gz does not lie on the voxels of DIR/imagesTr/a_0000.nii.gz: shape [z, y, x] 3,5,6 against 4,5,6; check that the two belong together, then resample one onto the other',
    ],
    [
      { 'labelsTr/a.nii.gz': await label([0, 9]) },
      'DIR/labelsTr/a.nii.gz has the labels {0, 9} but the data set names {0, 1, 2}; name 9 in "labels", or map it to a named value, for example "labels_map": {"9": 0}',
    ],
    [
      { 'imagesTr/a_0000.nii.gz': await nifti((voxel) => (voxel === 119 ? Number.NaN : voxel)) },
      "DIR/imagesTr/a_0000.nii.gz has 1 of 120 voxels that are NaN or infinite (the first, NaN, at [z, y, x] 3,4,5); replace them by numbers, for example the background's",
    ],
    [
      { 'imagesTr/a_0000.nii.gz': await image(1, { channels: 2 }) },
      'DIR/imagesTr/a_0000.nii.gz has 2 channels but the data set has 1 (MRI); export the missing ones or correct "channel_names" in dataset.json',
    ],
  ];
  for (const [change, message] of broken) {
    await inFolder(async (folder) => {
      await writeFiles(folder, { ...(await soundFiles()), ...change });
      const source = directorySource(folder);
      const dataset = await parseDataset(source);
      assert.is(await refusal(() => loadCase(dataset, dataset.labelled[0], source), folder), message);
    });
  }
});

const hippocampus = join(fileURLToPath(new URL('../../..', import.meta.url)), 'shared/data/hippocampus');
if (existsSync(hippocampus)) {
  test('the hippocampus volumes of the Decathlon', async () => {
    const source = directorySource(hippocampus);
    const dataset = await parseDataset(source);
    assert.is(dataset.layout, 'decathlon');
    assert.equal([dataset.labelled.length, dataset.unlabelled.length, dataset.test.length], [160, 0, 40]);
    assert.ok(dataset.test.every((item) => item.label));
    assert.equal(
      dataset.labelled.slice(0, 3).map(({ id }) => id),
      ['hippocampus_089', 'hippocampus_220', 'hippocampus_325'],
    );
    assert.equal(
      dataset.labels.map(({ name }) => name),
      ['background', 'Anterior', 'Posterior'],
    );
    const { image: read, label: drawn } = await loadCase(dataset, dataset.labelled[0], source);
    assert.equal(read.shape, drawn!.shape);
    assert.equal([...new Set(drawn!.data)].sort(), [0, 1, 2]);
  });
} else {
  console.log('shared/data/hippocampus is not there: its test is left out');
}

test.run();
