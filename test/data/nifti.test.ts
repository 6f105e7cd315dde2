import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readNifti, readNiftiHeader } from '../../runner/data/nifti.ts';
import { findNonFinite } from '../../runner/data/volume.ts';
import { GOOD, LPS, niftiBytes, orientation, ramp, voxelBytes } from './nifti_bytes.ts';
import { rejects } from './rejects.ts';

const fixture = (name: string) =>
  JSON.parse(readFileSync(new URL(`../fixtures/nifti/${name}`, import.meta.url), 'utf8'));
const bytesOf = (base64: string) => new Uint8Array(Buffer.from(base64, 'base64'));

function assertClose(actual: readonly number[], expected: readonly number[], tolerance: number, label: string): void {
  assert.is(actual.length, expected.length, label);
  actual.forEach((value, i) => {
    assert.ok(Math.abs(value - expected[i]) <= tolerance, `${label}[${i}]: ${value} against ${expected[i]}`);
  });
}

for (const expected of fixture('read.json')) {
  test(`as nibabel reads it: ${expected.name}`, async () => {
    const file = bytesOf(expected.file);
    const image = expected.image && bytesOf(expected.image);
    const volume = await readNifti(file, expected.name, { image });
    const header = await readNiftiHeader(file, expected.name);
    const [nx, ny, nz, channels = 1] = expected.canonical_shape;
    assert.is(header.dtype, expected.dtype);
    assert.is(header.orientation, expected.axcodes);
    assertClose(volume.source.affine, expected.affine, 1e-6, 'affine');
    assertClose(volume.affine, expected.canonical_affine, 1e-5, 'canonical affine');
    assert.equal(volume.shape, [nz, ny, nx]);
    assert.is(volume.channels, channels);
    assert.equal(volume.data, new Float32Array(bytesOf(expected.canonical_data).buffer));
    assert.equal([header.shape, header.affine, header.channels], [volume.shape, volume.affine, volume.channels]);
  });
}

test('a Node Buffer that is a window of a larger one is read as any other bytes', async () => {
  const file = niftiBytes({ dim: [3, 4, 5], values: ramp(60), dtype: 'int16', sform: LPS });
  const pool = Buffer.concat([Buffer.from([1, 2, 3]), file, Buffer.from([9])]);
  const volume = await readNifti(pool.subarray(3, 3 + file.length), 'a.nii');
  assert.equal(volume, await readNifti(file, 'a.nii'));
});

test('reading leaves the bytes it was given as they were', async () => {
  const file = niftiBytes({ dim: [3, 4, 5], values: ramp(60), dtype: 'int16', big: true });
  const before = file.slice();
  await readNifti(file, 'a.nii');
  assert.equal(file, before);
});

test('vox_offset 0 means right behind the header', async () => {
  for (const version of [1, 2] as const) {
    const file = niftiBytes({ ...GOOD, version, voxOffset: 0 });
    assert.equal(await readNifti(file, 'a.nii'), await readNifti(niftiBytes(GOOD), 'a.nii'));
  }
});

test('a size of 0 counts as 1', async () => {
  const volume = await readNifti(niftiBytes({ dim: [3, 4, 0], values: ramp(12) }), 'a.nii');
  assert.equal(volume.shape, [1, 4, 3]);
});

test('one volume of a 4D file', async () => {
  for (const pack of [(b: Uint8Array) => b, gzipSync]) {
    const file = pack(niftiBytes({ dim: [2, 3, 4, 3], values: ramp(72), dtype: 'int16', big: true }));
    const all = await readNifti(file, 'f.nii');
    const one = await readNifti(file, 'f.nii', { volume: 1, role: 'label' });
    assert.is(one.channels, 1);
    assert.equal(one.data, all.data.slice(24, 48));
    await rejects(
      () => readNifti(file, 'f.nii', { volume: 3 }),
      2,
      /f\.nii has volumes 0 to 2; volume 3 does not exist/,
    );
  }
});

test('labels: a slope is applied, and whole numbers are required', async () => {
  const dim = [2, 2, 2];
  const scaled = niftiBytes({ dim, values: ramp(8), slope: 2, inter: 1, sform: orientation(0, [1, 1, 1], [0, 0, 0]) });
  assert.equal([...(await readNifti(scaled, 'l.nii', { role: 'label' })).data], [1, 3, 5, 7, 9, 11, 13, 15]);
  const tenths = niftiBytes({ dim, values: ramp(8), slope: Math.fround(0.1) });
  await rejects(
    () => readNifti(tenths, 'l.nii', { role: 'label' }),
    4,
    /l\.nii is no label map: voxel \(i 1, j 0, k 0\) has the value 0\.1.*nearest-neighbour/,
  );
  const nearly = niftiBytes({ dim, values: ramp(8).map((v) => v + 0.0004), dtype: 'float32' });
  assert.ok((await readNifti(nearly, 'l.nii', { role: 'label' })).data.every(Number.isInteger));
  const nan = niftiBytes({ dim, values: [0, 1, 2, 3, 4, 5, 6, Number.NaN], dtype: 'float32' });
  await rejects(() => readNifti(nan, 'l.nii', { role: 'label' }), 4, /\(i 1, j 1, k 1\) has the value NaN/);
  const huge = niftiBytes({ dim, values: [0, 0, 0, 0, 0, 0, 0, 2 ** 25], dtype: 'int32' });
  await rejects(() => readNifti(huge, 'l.nii', { role: 'label' }), 4, /label 33554432.*largest usable one, 16777216/);
  const series = niftiBytes({ dim: [2, 2, 2, 2], values: ramp(16) });
  await rejects(
    () => readNifti(series, 'l.nii', { role: 'label' }),
    4,
    /l\.nii is 4D \(2 volumes\) but a label map is 3D/,
  );
});

test('NaN and infinite voxels are passed on and found', async () => {
  const values = ramp(48);
  values[31] = Number.NEGATIVE_INFINITY;
  values[40] = Number.NaN;
  const volume = await readNifti(
    niftiBytes({ dim: [2, 3, 4, 2], values, dtype: 'float32', sform: orientation(0, [1, 1, 1], [0, 0, 0]) }),
    'n.nii',
  );
  assert.equal(findNonFinite(volume), { count: 2, channel: 1, voxel: [1, 0, 1], value: Number.NEGATIVE_INFINITY });
  const sound = await readNifti(niftiBytes({ dim: [2, 3, 4], values: ramp(24) }), 'n.nii');
  assert.is(findNonFinite(sound), undefined);
});

test('a .hdr/.img pair, plain or gzipped, and an .img cut short', async () => {
  const header = niftiBytes({ ...GOOD, pair: true });
  const image = voxelBytes(GOOD);
  const volume = await readNifti(niftiBytes(GOOD), 'x.nii');
  assert.equal(await readNifti(header, 'x.hdr', { image }), volume);
  assert.equal(await readNifti(gzipSync(header), 'x.hdr.gz', { image: gzipSync(image) }), volume);
  await rejects(
    () => readNifti(header, 'x.hdr', { image: image.subarray(1) }),
    4,
    /promises 120 bytes .* and there are 119/,
  );
});

test('the header is read from the start of a file whose end is missing', async () => {
  let state = 1;
  const noise = Array.from({ length: 400000 }, () => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return state >>> 24;
  });
  const file = gzipSync(niftiBytes({ dim: [100, 100, 40], values: noise, sform: LPS }));
  const header = await readNiftiHeader(file.subarray(0, 70000), 'x.nii.gz');
  assert.equal(header.shape, [40, 100, 100]);
  await rejects(() => readNifti(file.subarray(0, 70000), 'x.nii.gz'), 4, /cut short/);
});

test('extensions that make no sense are passed over', async () => {
  for (const size of [-16, 0, 7, 1 << 20]) {
    const plain = niftiBytes({ ...GOOD, voxOffset: 384 });
    const file = new Uint8Array(plain.length + 32);
    file.set(plain.subarray(0, 352));
    file[348] = 1;
    new DataView(file.buffer).setInt32(352, size, true);
    new DataView(file.buffer).setInt32(356, 6, true);
    file.set(plain.subarray(352), 384);
    assert.equal((await readNifti(file, 'x')).data, (await readNifti(niftiBytes(GOOD), 'x')).data);
    assert.is((await readNiftiHeader(file, 'x')).labelNames, undefined);
  }
});

const DATA = new URL('../../../shared/data/hippocampus/', import.meta.url);

test('real volumes (hippocampus) equal nibabel', async () => {
  if (!existsSync(DATA)) {
    console.log('skipped: ../shared/data/hippocampus is not there');
    return;
  }
  for (const { file, shape, affine, sha256 } of fixture('hippocampus.json')) {
    const role = file.startsWith('labels') ? 'label' : 'image';
    const volume = await readNifti(readFileSync(new URL(file, DATA)), file, { role });
    assert.equal(volume.shape, [shape[2], shape[1], shape[0]]);
    assertClose(volume.affine, affine, 1e-6, file);
    assert.is(createHash('sha256').update(new Uint8Array(volume.data.buffer)).digest('hex'), sha256, file);
  }
});

test.run();
