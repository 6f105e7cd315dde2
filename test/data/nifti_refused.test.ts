import { gzipSync } from 'node:zlib';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readNifti, readNiftiHeader } from '../../runner/data/nifti.ts';
import { GOOD, LPS, niftiBytes, orientation } from './nifti_bytes.ts';
import { rejects } from './rejects.ts';

const text = (content: string) => new TextEncoder().encode(content.padEnd(400, ' '));
const zip = (change: (bytes: Buffer) => Buffer) => new Uint8Array(change(gzipSync(niftiBytes(GOOD))));

const BAD: [name: string, bytes: Uint8Array, message: RegExp][] = [
  ['empty', new Uint8Array(0), /^x is empty \(0 bytes\); /],
  [
    'shorter than a header',
    niftiBytes(GOOD).subarray(0, 347),
    /too short for a NIfTI header \(347 bytes, at least 348/,
  ],
  [
    'voxels cut off',
    niftiBytes(GOOD).subarray(0, 470),
    /cut short: its header promises 472 bytes \(3x4x5 int16 voxels from byte 352\) and there are 470/,
  ],
  [
    'voxels cut off inside sound gzip',
    gzipSync(niftiBytes(GOOD).subarray(0, 470)),
    /promises 472 bytes .* there are 470;/,
  ],
  [
    'a giant size in a small gzip',
    gzipSync(niftiBytes({ ...GOOD, dim: [900, 900, 300] })),
    /cut short: .* there are at most \d+;/,
  ],
  [
    'gzip cut in its data',
    zip((b) => b.subarray(0, b.length - 30)),
    /^x is cut short: its gzip data end before the checksum;/,
  ],
  [
    'gzip cut in its checksum',
    zip((b) => b.subarray(0, b.length - 1)),
    /^x is cut short: its gzip data end before the checksum;/,
  ],
  [
    'gzip with a wrong checksum',
    zip((b) => {
      b[b.length - 6] ^= 1;
      return b;
    }),
    /^x is damaged: gzip reports "incorrect data check"/,
  ],
  [
    'gzip with a wrong length',
    zip((b) => {
      b[b.length - 2] ^= 1;
      return b;
    }),
    /^x is damaged: gzip reports "incorrect length check"/,
  ],
  [
    'gzip with other bytes behind it',
    zip((b) => Buffer.concat([b, Buffer.from('hello')])),
    /^x has other bytes after the end of its gzip data/,
  ],
  ['gzip of text', gzipSync(text('hello')), /^x is not a NIfTI file/],
  ['DICOM', text(`${'\0'.repeat(128)}DICM`), /^x is a DICOM file, not NIfTI; convert the series with dcm2niix$/],
  ['NRRD', text('NRRD0004\n'), /^x is an NRRD file/],
  ['MetaImage', text('ObjectType = Image'), /^x is a MetaImage file/],
  [
    'Git LFS pointer',
    text('version https://git-lfs.github.com/spec/v1'),
    /^x is a Git LFS pointer, not NIfTI; fetch the file itself with git lfs pull$/,
  ],
  ['web page', text('<!doctype html>'), /^x is a web page/],
  ['Analyze', niftiBytes({ ...GOOD, spoil: (h) => h.setUint32(344, 0) }), /^x has an Analyze 7\.5 header/],
  [
    'header size field',
    niftiBytes({ ...GOOD, spoil: (h) => h.setInt32(0, 349, true) }),
    /its size field says 349, not 348/,
  ],
  [
    'NIfTI-2 in text mode',
    niftiBytes({ ...GOOD, version: 2, spoil: (h) => h.setUint8(8, 0x0a) }),
    /changed in transfer: .*binary mode$/,
  ],
  ['no dimensions', niftiBytes({ ...GOOD, spoil: (h) => h.setInt16(40, 0, true) }), /claims 0 dimensions/],
  ['negative size', niftiBytes({ ...GOOD, dim: [3, -4, 5] }), /its dimensions are 3x-4x5/],
  [
    '5D',
    niftiBytes({ ...GOOD, dim: [3, 4, 1, 1, 5] }),
    /^x has 5 dimensions \(3x4x1x1x5\); 3, or 4 with one channel per volume/,
  ],
  [
    'RGB',
    niftiBytes({ ...GOOD, spoil: (h) => h.setInt16(70, 128, true) }),
    /^x holds RGB colours \(rgb24\) \(datatype 128\)/,
  ],
  ['complex', niftiBytes({ ...GOOD, spoil: (h) => h.setInt16(70, 32, true) }), /^x holds complex64 voxels/],
  [
    'unknown type',
    niftiBytes({ ...GOOD, spoil: (h) => h.setInt16(70, 77, true) }),
    /a voxel type that NIfTI does not define \(datatype 77\)/,
  ],
  [
    'NaN in the sform',
    niftiBytes({ ...GOOD, sform: LPS.map((v, i) => (i === 0 ? Number.NaN : v)) }),
    /unusable affine: its sform \[NaN .*set sform_code to 0/,
  ],
  [
    'sform of zeros',
    niftiBytes({ ...GOOD, sform: new Array(16).fill(0) }),
    /unusable affine: its sform \[0 0 0 0; 0 0 0 0; 0 0 0 0\]/,
  ],
  [
    'infinite voxel size',
    niftiBytes({ ...GOOD, sform: undefined, pixdim: [1, 1, Infinity, 1] }),
    /unusable affine: its pixdim/,
  ],
  [
    'quaternion longer than 1',
    niftiBytes({
      ...GOOD,
      sform: undefined,
      spoil: (h) => {
        h.setInt16(252, 1, true);
        h.setFloat32(256, 1.1, true);
      },
    }),
    /damaged qform: its quaternion \(1\.1.*longer than 1/,
  ],
  ['intercept NaN', niftiBytes({ ...GOOD, slope: 2, inter: Number.NaN }), /scales its voxels by 2 and adds NaN/],
  ['negative vox_offset', niftiBytes({ ...GOOD, voxOffset: -16 }), /its voxels start at byte -16/],
  ['vox_offset behind the end', niftiBytes({ ...GOOD, voxOffset: 1e6 }), /promises 1000120 bytes/],
  [
    'beyond 2 GiB',
    niftiBytes({ ...GOOD, dim: [1024, 1024, 1024] }),
    /holds 1024x1024x1024 int16 voxels, 4\.0 GiB in memory where at most 2 GiB.*; crop or downsample it$/,
  ],
  [
    '4D beyond 2 GiB',
    niftiBytes({ ...GOOD, dim: [512, 512, 300, 40] }),
    /; pick one volume, or crop or downsample it$/,
  ],
  [
    'a header without its .img',
    niftiBytes({ ...GOOD, pair: true }),
    /^x is the header of a \.hdr\/\.img pair and holds no voxels/,
  ],
];

for (const [what, bytes, message] of BAD) {
  test(`refused in one sentence: ${what}`, async () => {
    await rejects(() => readNifti(bytes, 'x'), 4, message);
  });
}

const ODD: [what: string, spoil: (header: DataView) => void, warning: RegExp][] = [
  [
    'vox_offset inside the header',
    (h) => h.setFloat32(108, 348, true),
    /^vox_offset is 348, inside the header; 352 is used$/,
  ],
  ['bitpix', (h) => h.setInt16(72, 8, true), /^bitpix says 8 but int16 has 16 bits/],
  ['pixdim against sform', (h) => h.setFloat32(80, 9, true), /^pixdim\[1\] is 9 but the sform has voxels of 1\.000 mm/],
  ['sform code', (h) => h.setInt16(254, 12, true), /^sform_code 12 does not exist/],
  ['no orientation', (h) => h.setInt16(254, 0, true), /^neither qform nor sform is set/],
  ['micrometres', (h) => h.setUint8(123, 3), /^the header gives lengths in micrometres/],
  [
    'other qform',
    (h) => {
      h.setInt16(252, 1, true);
      h.setFloat32(80, 1, true);
    },
    /^sform \(LPS\) and qform \(RAS\) disagree about the axes/,
  ],
];

for (const [what, spoil, warning] of ODD) {
  test(`read with a warning: ${what}`, async () => {
    const file = niftiBytes({ ...GOOD, pixdim: [1, 1, 2, 3], spoil });
    const heard: string[] = [];
    await readNifti(file, 'x.nii', { onWarning: (sentence) => heard.push(sentence) });
    assert.ok(
      heard.some((sentence) => warning.test(sentence)),
      heard.join('\n'),
    );
    assert.equal(heard, (await readNiftiHeader(file, 'x.nii')).warnings);
  });
}

test('read with a warning: qform and sform apart by millimetres', async () => {
  const file = niftiBytes({
    ...GOOD,
    sform: orientation(0, [1, 1, 1], [0, 0, 0]),
    spoil: (h) => {
      h.setInt16(252, 1, true);
      h.setFloat32(268, 4.2, true);
    },
  });
  assert.equal((await readNiftiHeader(file, 'x')).warnings, [
    'qform and sform differ by 4.2 mm; using the sform, as nibabel does',
  ]);
});

test('read with a warning: integers that float32 rounds', async () => {
  const heard: string[] = [];
  const file = niftiBytes({ dim: [2, 1, 1], values: [1, 2 ** 24 + 1], dtype: 'int32', sform: LPS });
  await readNifti(file, 'x.nii', { onWarning: (sentence) => heard.push(sentence) });
  assert.ok(heard.includes('int32 voxels reach 16777217 and are rounded to float32 above 16777216'), heard.join('\n'));
});

test.run();
