import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { checkDataset } from '../../runner/data/check.ts';
import { checkText } from '../../runner/data/check_text.ts';
import { directorySource } from '../../runner/host/files.ts';
import { edited, type Files, image, inFolder, label, nifti, soundFiles, withJson, writeFiles } from './corpus.ts';

/** Checks a data set of these files; its problems as "error: sentence", the folder's own path written as DIR. */
async function problemsOf(files: Files, emptyFolders: string[] = []): Promise<string[]> {
  let found: string[] = [];
  await inFolder(async (folder) => {
    await writeFiles(folder, files);
    for (const name of emptyFolders) await mkdir(join(folder, name));
    const report = await checkDataset(directorySource(folder));
    found = report.problems.map(({ severity, message }) => `${severity}: ${message.replaceAll(folder, 'DIR')}`);
    assert.is(report.errors + report.warnings, found.length);
  });
  return found;
}

/** One test: the sound data set with files replaced (undefined removes one) has exactly these problems. */
function broken(name: string, change: (files: Files) => Promise<Record<string, unknown>>, expected: string[]): void {
  test(name, async () => {
    const files = await soundFiles();
    const changes = await change(files);
    const all = Object.entries({ ...files, ...changes }).filter(([, bytes]) => bytes !== undefined);
    assert.equal(await problemsOf(Object.fromEntries(all) as Files), expected);
  });
}

broken('a sound data set has no problem', async () => ({}), []);

broken(
  'every problem is reported in one pass, errors first',
  async (files) => ({
    'imagesTr/a_0000.nii.gz': (files['imagesTr/a_0000.nii.gz'] as Uint8Array).subarray(0, 200),
    'labelsTr/b.nii.gz': await label([0, 7]),
    'imagesUn/u_0000.nii.gz': await nifti(() => 3),
    'imagesTs/t_0000.nii.gz': 'hello',
  }),
  [
    'error: imagesTr/a_0000.nii.gz is cut short: its gzip data end before the checksum; copy, download or export the file again',
    'error: labelsTr/b.nii.gz has the labels {0, 7} but the data set names {0, 1, 2}; name 7 in "labels", or map it to a named value, for example "labels_map": {"7": 0}',
    'error: imagesUn/u_0000.nii.gz has the value 3 in every voxel; export it again or remove the case',
    'error: imagesTs/t_0000.nii.gz is too short for a NIfTI header (5 bytes, at least 348 needed); copy or export it again',
  ],
);

broken(
  'a damaged file',
  async (files) => {
    const bytes = Uint8Array.from(files['labelsTr/a.nii.gz'] as Uint8Array);
    bytes[bytes.length - 8] ^= 0xff; // the checksum
    return { 'labelsTr/a.nii.gz': bytes };
  },
  ['error: labelsTr/a.nii.gz is damaged: gzip reports "incorrect data check"; copy, download or export the file again'],
);

broken(
  'a foreign file',
  async () => ({ 'imagesTr/a_0000.nii.gz': Uint8Array.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0]) }),
  ['error: imagesTr/a_0000.nii.gz is a PNG picture, not NIfTI; stack the slices into one .nii.gz'],
);

broken('a label of another shape', async () => ({ 'labelsTr/b.nii.gz': await label([0, 1, 2], { dim: [6, 5, 3] }) }), [
  'error: labelsTr/b.nii.gz does not lie on the voxels of imagesTr/b_0000.nii.gz: shape [z, y, x] 3,5,6 against 4,5,6; check that the two belong together, then resample one onto the other',
]);

broken('a label at another place', async () => ({ 'labelsTr/b.nii.gz': await label([0, 1, 2], { shift: 5 }) }), [
  'error: labelsTr/b.nii.gz does not lie on the voxels of imagesTr/b_0000.nii.gz: position or direction: corners are up to 5.00 mm apart; check that the two belong together, then resample it, or copy the header if the voxels do line up',
]);

broken(
  'a label of another spacing',
  async () => ({ 'labelsTr/b.nii.gz': await label([0, 1, 2], { spacing: [1, 1, 2] }) }),
  [
    'error: labelsTr/b.nii.gz does not lie on the voxels of imagesTr/b_0000.nii.gz: spacing [z, y, x] 2,1,1 mm against 1,1,1 mm; check that the two belong together, then resample it, or copy the header if the voxels do line up',
  ],
);

broken(
  'float32 noise in an affine is no problem',
  async () => ({ 'labelsTr/b.nii.gz': await label([0, 1, 2], { shift: 0.01 }) }),
  [],
);

broken(
  'a mask of 0 and 255',
  async (files) => ({
    ...withJson(files, { labels: { background: 0, organ: 1 } }),
    'labelsTr/a.nii.gz': await label([0, 255]),
    'labelsTr/b.nii.gz': await label([0, 1]),
    'labelsTs/t.nii.gz': await label([0, 1]),
  }),
  [
    'error: labelsTr/a.nii.gz has the labels {0, 255} but the data set names {0, 1}; if they mean the same in that order, add "labels_map": {"255": 1} to dataset.json',
  ],
);

broken(
  'labels_map is the remedy',
  async (files) => ({
    ...withJson(files, { labels: { background: 0, organ: 1 }, labels_map: { 255: 1 } }),
    'labelsTr/a.nii.gz': await label([0, 255]),
    'labelsTr/b.nii.gz': await label([0, 1]),
    'labelsTs/t.nii.gz': await label([0, 1]),
  }),
  [],
);

broken(
  'fractional labels',
  async () => ({ 'labelsTr/a.nii.gz': await nifti((voxel) => (voxel === 8 ? 0.5 : voxel % 3)) }),
  [
    'error: labelsTr/a.nii.gz is no label map: voxel (i 2, j 1, k 0) has the value 0.5, and labels are whole numbers; if it was resampled, do it again with nearest-neighbour interpolation',
  ],
);

broken('an image among the labels', async () => ({ 'labelsTr/a.nii.gz': await nifti((voxel) => voxel) }), [
  'error: labelsTr/a.nii.gz has 120 different values from 0 to 119, like an image and not like a label; check that it is in the right folder',
]);

broken('a label of background only', async () => ({ 'labelsTr/b.nii.gz': await label([0]) }), [
  'warning: labelsTr/b.nii.gz holds nothing but background (0 in all 120 voxels); check that it is the right file, and leave the case unlabelled if nobody has drawn it',
]);

broken(
  'labels of background only everywhere',
  async () => ({
    'labelsTr/a.nii.gz': await label([0]),
    'labelsTr/b.nii.gz': undefined,
    'imagesTr/b_0000.nii.gz': undefined,
    'dataset.json': withJson(await soundFiles(), { numTraining: 1 })['dataset.json'],
  }),
  [
    'error: None of the 1 labels of training cases shows a structure, all voxels are background; check that they are the right files',
    'warning: labelsTr/a.nii.gz holds nothing but background (0 in all 120 voxels); check that it is the right file, and leave the case unlabelled if nobody has drawn it',
  ],
);

broken(
  'a structure that no training label shows',
  async () => ({ 'labelsTr/a.nii.gz': await label([0, 1]), 'labelsTr/b.nii.gz': await label([0, 1]) }),
  [
    'warning: The label 2 "lesion" occurs in none of the 2 labelled training cases and cannot be learnt; add a case that shows it or remove it from "labels"',
  ],
);

broken(
  'NaN and infinite voxels',
  async () => ({
    'imagesTr/a_0000.nii.gz': await nifti((voxel) => (voxel === 7 ? Number.NaN : voxel === 9 ? -1 / 0 : voxel)),
  }),
  [
    "error: imagesTr/a_0000.nii.gz has 2 of 120 voxels that are NaN or infinite (the first, NaN, at [z, y, x] 0,1,1); replace them by numbers, for example the background's",
  ],
);

broken('a constant image', async () => ({ 'imagesTr/a_0000.nii.gz': await nifti(() => 0) }), [
  'error: imagesTr/a_0000.nii.gz has the value 0 in every voxel; export it again or remove the case',
]);

broken(
  'a 2D image',
  async () => ({
    'imagesTr/a_0000.nii.gz': await image(1, { dim: [6, 5, 1] }),
    'labelsTr/a.nii.gz': await label([0, 1, 2], { dim: [6, 5, 1] }),
  }),
  [
    'error: imagesTr/a_0000.nii.gz is 2D (shape [z, y, x] 1,5,6); give a volume of at least 2 slices, or stack the slices into one',
  ],
);

broken(
  'an RGB image',
  async (files) => ({
    'imagesTr/a_0000.nii.gz': edited(files['imagesTr/a_0000.nii.gz'] as Uint8Array, (header) => {
      header.setInt16(70, 128, true);
      header.setInt16(72, 24, true);
    }),
  }),
  [
    'error: imagesTr/a_0000.nii.gz holds RGB colours (rgb24) (datatype 128); one plain number per voxel is needed, so convert it to int16 or float32',
  ],
);

broken(
  'a 4D image where one channel is expected',
  async () => ({ 'imagesTr/a_0000.nii.gz': await image(1, { channels: 3 }) }),
  [
    'error: imagesTr/a_0000.nii.gz has 3 channels but the data set has 1 (MRI); export the missing ones or correct "channel_names" in dataset.json',
  ],
);

broken('a 4D label', async () => ({ 'labelsTr/a.nii.gz': await label([0, 1, 2], { channels: 2 }) }), [
  'error: labelsTr/a.nii.gz is 4D (2 volumes) but a label map is 3D; pick one volume or merge them into one map',
]);

broken(
  'a case without one of its channel files',
  async (files) => ({
    ...withJson(files, { channel_names: { 0: 'T1', 1: 'T2' } }),
    'imagesTr/a_0001.nii.gz': await image(5),
    'imagesUn/u_0001.nii.gz': await image(6),
    'imagesTs/t_0001.nii.gz': await image(7),
  }),
  [
    'error: imagesTr/b has channel 0 but should have channels 0, 1; add b_0001.nii.gz, or correct "channel_names" in dataset.json',
  ],
);

broken(
  'surplus channel files, and one too high',
  async () => ({
    'imagesTr/a_0001.nii.gz': await image(5),
    'imagesTr/a_0002.nii.gz': await image(6),
    'imagesUn/w_0003.nii.gz': await image(7),
  }),
  [
    'error: imagesTr/a has channels 0, 1, 2 but should have channel 0; remove imagesTr/a_0001.nii.gz, imagesTr/a_0002.nii.gz, or correct "channel_names" in dataset.json',
    'error: imagesUn/w has channel 3 but should have channel 0; add w_0000.nii.gz and remove imagesUn/w_0003.nii.gz, or correct "channel_names" in dataset.json',
  ],
);

broken(
  'channels of one case on different voxels',
  async (files) => ({
    ...withJson(files, { channel_names: { 0: 'T1', 1: 'T2' } }),
    'imagesTr/a_0001.nii.gz': await image(5),
    'imagesTr/b_0001.nii.gz': await image(6, { dim: [6, 5, 5] }),
    'imagesUn/u_0001.nii.gz': await image(7),
    'imagesTs/t_0001.nii.gz': await image(8),
  }),
  [
    'error: imagesTr/b_0001.nii.gz does not lie on the voxels of imagesTr/b_0000.nii.gz: shape [z, y, x] 5,5,6 against 4,5,6; check that the two belong together, then resample one onto the other',
  ],
);

broken('no labelled case', async () => ({ 'labelsTr/a.nii.gz': undefined, 'labelsTr/b.nii.gz': undefined }), [
  'error: No training case has a label (3 have none); draw at least one and put it beside the image under the same name',
  'warning: imagesTr/a_0000.nii.gz has no label in labelsTr/ and is used as unlabelled; add labelsTr/a.nii.gz if it has one',
  'warning: imagesTr/b_0000.nii.gz has no label in labelsTr/ and is used as unlabelled; add labelsTr/b.nii.gz if it has one',
]);

broken('a label without an image', async () => ({ 'labelsTr/c.nii.gz': await label() }), [
  'warning: labelsTr/c.nii.gz has no image in imagesTr/ and is not used; add the image or remove the label',
]);

broken('duplicate names', async () => ({ 'labelsTr/a.nii': await label(), 'imagesTr/b_0000.nii': await image(2) }), [
  'error: imagesTr/b_0000.nii.gz and imagesTr/b_0000.nii have the same name; keep one',
  'error: labelsTr/a.nii.gz and labelsTr/a.nii are labels of the same case; keep one',
]);

broken('one name for two training cases', async () => ({ 'imagesUn/a_0000.nii.gz': await image(9) }), [
  'error: imagesUn/a_0000.nii.gz and imagesTr/a_0000.nii.gz are two training cases called a; rename or remove one',
]);

broken('a test image that is in training too', async () => ({ 'imagesTs/t_0000.nii.gz': await image(3) }), [
  'error: imagesTs/t_0000.nii.gz is a test image with the same voxels as imagesUn/u_0000.nii.gz, so its score would mean nothing; remove it from one of the two',
]);

broken('a copy under another name', async () => ({ 'imagesUn/v_0000.nii.gz': await image(3) }), [
  'warning: imagesUn/v_0000.nii.gz has the same voxels as imagesUn/u_0000.nii.gz; remove one of them if they are copies',
]);

broken('a wrong number of training cases', async (files) => withJson(files, { numTraining: 5 }), [
  'warning: dataset.json states 5 labelled cases (numTraining) but there are 2; check that none is missing, then correct the number',
]);

broken('mixed orientations', async () => ({ 'imagesUn/u_0000.nii.gz': await image(3, { lps: true }) }), [
  'warning: Images are stored in different orientations (RAS 3, LPS 1); this is handled automatically',
]);

broken('an odd spacing', async () => ({ 'imagesUn/u_0000.nii.gz': await image(3, { spacing: [1, 1, 5] }) }), [
  'warning: imagesUn/u_0000.nii.gz has the spacing [z, y, x] 5,1,1 mm where the median is 1,1,1 mm; it is resampled for training, so check that it is right',
]);

broken(
  'qform and sform that disagree',
  async (files) => ({
    'imagesUn/u_0000.nii.gz': edited(files['imagesUn/u_0000.nii.gz'] as Uint8Array, (header) => {
      header.setFloat32(268, header.getFloat32(268, true) + 4.2, true);
    }),
  }),
  ['warning: imagesUn/u_0000.nii.gz: qform and sform differ by 4.2 mm; using the sform, as nibabel does'],
);

test('files that are listed but missing, present but unlisted, or listed twice', async () => {
  const files = await soundFiles();
  const training = ['a', 'b', 'a', 'c'].map((id) => ({
    image: `./imagesTr/${id}.nii.gz`,
    label: `./labelsTr/${id}.nii.gz`,
  }));
  const changed = withJson(files, { training, modality: { 0: 'MRI' }, channel_names: undefined, test: [] });
  assert.equal(await problemsOf({ ...changed, 'imagesTr/d.nii.gz': await image(9) }), [
    'error: imagesTr/c.nii.gz is listed in dataset.json but does not exist; restore the file or remove its entry',
    'error: labelsTr/c.nii.gz is listed in dataset.json but does not exist; restore the file or remove its entry',
    'error: imagesTr/a_0000.nii.gz is listed more than once in dataset.json; keep one entry',
    'warning: imagesTr/d.nii.gz is not listed in dataset.json and is not used; list it, or move an image to imagesUn/ to use it without a label',
    'warning: imagesTs/t_0000.nii.gz is not listed in dataset.json and is not used; list it, or move an image to imagesUn/ to use it without a label',
    'warning: dataset.json states 2 training cases (numTraining) but lists 4; check that none is missing, then correct the number',
  ]);
});

test('an empty folder for unlabelled images', async () => {
  const { 'imagesUn/u_0000.nii.gz': _, ...files } = await soundFiles();
  assert.equal(await problemsOf(files, ['imagesUn']), [
    'warning: imagesUn/ holds no .nii or .nii.gz file; put the unlabelled images there or remove the folder',
  ]);
});

test('masks of 0 and 255 beside masks of 0 and 1 in a plain folder', async () => {
  const files = {
    'images/a.nii.gz': await image(1),
    'labels/a.nii.gz': await label([0, 1]),
    'images/b.nii.gz': await image(2),
    'labels/b.nii.gz': await label([0, 255]),
  };
  assert.equal(await problemsOf(files), [
    'error: The label of images/b.nii.gz has the values {0, 255} while 1 others have {0, 1}; if they mean the same, write a dataset.json with "labels": {"background": 0, "structure": 1} and "labels_map": {"255": 1}',
  ]);
});

test('folders that are no data set', async () => {
  assert.equal(await problemsOf({ 'notes.txt': 'x' }), [
    'error: DIR holds 1 file such as notes.txt, but no dataset.json that lists cases, no images/ or imagesTr/ folder and no .h5 case; put the NIfTI images into images/ and their labels, under the same names, into labels/',
  ]);
  assert.equal(await problemsOf({ 'Task/dataset.json': '{}' }), [
    'error: DIR is not a data set itself but holds one; give DIR/Task',
  ]);
  assert.equal(await problemsOf({ 'dataset.json': '{"labels": ' }), [
    'error: DIR/dataset.json is not valid JSON (Unexpected end of JSON input); correct it in an editor',
  ]);
  assert.equal(await problemsOf({ 'dataset.json': '[]' }), [
    'error: DIR/dataset.json holds a list where an object such as {"labels": ...} is needed; correct it in an editor',
  ]);
  assert.equal(await problemsOf({}), [
    'error: DIR holds no file: no dataset.json that lists cases, no images/ or imagesTr/ folder and no .h5 case; put the NIfTI images into images/ and their labels, under the same names, into labels/',
  ]);
  const json = (value: unknown) => ({ 'dataset.json': JSON.stringify(value) });
  assert.equal(await problemsOf(json({ training: 'a' })), [
    'error: DIR/dataset.json: "training" should be Array but is "a"; correct it in an editor',
  ]);
  assert.equal(await problemsOf(json({ labels: { background: 0, 'whole tumour': [1, 2] } })), [
    'error: DIR/dataset.json: the label "whole tumour" is the region [1, 2], which is not supported; give every label one whole number',
  ]);
  assert.equal(await problemsOf(json({ labels: { background: 0, ignore: 3 } })), [
    'error: DIR/dataset.json: the label "ignore" (3) is not supported; label those voxels, or leave the case unlabelled in imagesUn/',
  ]);
  assert.equal(await problemsOf(json({ labels: { background: 0, a: 1, b: 1 } })), [
    'error: DIR/dataset.json: the labels "a" and "b" both have the value 1; give each its own',
  ]);
  assert.equal(await problemsOf(json({ labels: { background: 0, a: 1.5 } })), [
    'error: DIR/dataset.json: the label "a" has the value 1.5; use a whole number from 0 to 65535',
  ]);
  assert.equal(await problemsOf(json({ labels: { background: 0, a: 1 }, labels_map: { 255: 2 } })), [
    'error: DIR/dataset.json: "labels_map" takes 255 to 2; map a whole number to one of the values in "labels" (0, 1)',
  ]);
  assert.equal(await problemsOf({ ...json({ channel_names: { 0: 'MRI' } }) }), [
    'error: DIR/dataset.json has no "labels"; add them, for example "labels": {"background": 0, "organ": 1}',
  ]);
});

test('a folder that does not exist', async () => {
  await inFolder(async (folder) => {
    const report = await checkDataset(directorySource(join(folder, 'nowhere')));
    assert.equal(
      report.problems.map(({ message }) => message.replaceAll(folder, 'DIR')),
      ['DIR/nowhere does not exist; check the path'],
    );
    assert.is(report.errors, 1);
  });
});

test('the report groups more than five problems of a kind', async () => {
  await inFolder(async (folder) => {
    const files: Files = await soundFiles();
    for (let i = 0; i < 6; i++) files[`imagesUn/x${i}_0000.nii.gz`] = await nifti(() => i);
    await writeFiles(folder, files);
    const lines = checkText(await checkDataset(directorySource(folder)));
    assert.equal(lines, [
      'Sample (nnunet): 9 training cases (2 labelled, 7 unlabelled), 1 test case',
      '1 channel: MRI',
      '3 labels: 0 background, 1 organ, 2 lesion',
      ' ERROR 6 files: every voxel the same; export them again or remove them (imagesUn/x0_0000.nii.gz, imagesUn/x1_0000.nii.gz, imagesUn/x2_0000.nii.gz and 3 more; --json lists all)',
      '6 errors in 13 volumes',
    ]);
  });
});

test.run();
