import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readNifti, readNiftiHeader, writeNifti } from '../../runner/data/nifti.ts';
import { writtenCases } from '../fixtures/nifti/written.ts';
import { LPS, niftiBytes, ramp } from './nifti_bytes.ts';
import { rejects } from './rejects.ts';

test('what we write is what nibabel has verified, byte for byte', async () => {
  const { sha256 } = JSON.parse(readFileSync(new URL('../fixtures/nifti/written.json', import.meta.url), 'utf8'));
  const cases = await writtenCases();
  assert.is(Object.keys(sha256).length, cases.length);
  for (const { name, bytes } of cases) {
    const plain = gunzipSync(bytes);
    assert.is(createHash('sha256').update(plain).digest('hex'), sha256[name], name);
  }
});

test('writing: the same input gives the same bytes, with no time in them', async () => {
  const { source } = await readNifti(niftiBytes({ dim: [3, 4, 5], values: ramp(60), sform: LPS }), 'a.nii');
  const labels = Uint8Array.from(ramp(60));
  const [a, b] = [await writeNifti(labels, source), await writeNifti(labels, source)];
  assert.equal(a, b);
  assert.equal([...a.subarray(0, 10)], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
});

test('writing: description and label names come back', async () => {
  const { source } = await readNifti(niftiBytes({ dim: [3, 4, 5], values: ramp(60), sform: LPS }), 'a.nii');
  const labelNames = { 0: 'background', 1: 'hippocampe antérieur', 300: '海馬' };
  const description = 'é'.repeat(60);
  const written = await writeNifti(Uint16Array.from(ramp(60)), source, { labelNames, description });
  const header = await readNiftiHeader(written, 'w.nii.gz');
  assert.equal(header.labelNames, labelNames);
  assert.is(header.dtype, 'uint16');
  const stored = gunzipSync(written).subarray(148, 228);
  assert.is(new TextDecoder().decode(stored).replace(/\0+$/, ''), 'é'.repeat(39));
});

test('writing: probabilities as 4D float32', async () => {
  const { source } = await readNifti(niftiBytes({ dim: [2, 3, 4], values: ramp(24), sform: LPS }), 'a.nii');
  const probabilities = Float32Array.from({ length: 48 }, (_, i) => i / 48);
  const back = await readNifti(await writeNifti(probabilities, source, { channels: 2 }), 'p.nii.gz');
  assert.is(back.channels, 2);
  assert.equal(back.data, probabilities);
});

test('writing: NIfTI-2 where a size is above 32767', async () => {
  const values = ramp(40000);
  const file = niftiBytes({ dim: [40000, 1, 1], values, sform: LPS, version: 2 });
  const volume = await readNifti(file, 'long.nii');
  const written = await writeNifti(Uint8Array.from(volume.data), volume.source);
  assert.is((await readNiftiHeader(written, 'w')).version, 2);
  assert.equal(await readNifti(written, 'w'), volume);
});

test('writing: a sheared affine is kept by the sform, and the qform says nothing', async () => {
  const sform = [...LPS];
  sform[1] = 0.4;
  const volume = await readNifti(niftiBytes({ dim: [3, 4, 5], values: ramp(60), sform }), 'a.nii');
  const plain = gunzipSync(await writeNifti(Uint8Array.from(volume.data), volume.source));
  assert.is(plain.readInt16LE(252), 0);
  assert.is(plain.readInt16LE(254), 1);
  assert.is(Math.fround(0.4), plain.readFloatLE(284));
});

test('writing: voxels that do not fill the geometry are refused', async () => {
  const { source } = await readNifti(niftiBytes({ dim: [3, 4, 5], values: ramp(60) }), 'a.nii');
  await rejects(() => writeNifti(new Uint8Array(59), source), 4, /59 voxels given, 3x4x5x1 in its geometry/);
});

test.run();
