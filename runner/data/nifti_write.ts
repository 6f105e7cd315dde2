import { DataError } from '../../engine/errors.ts';
import { gzip } from './gzip.ts';
import { encodeLabelNames, type LabelNames } from './nifti_extension.ts';
import { toQform } from './nifti_qform.ts';
import { toFileOrder } from './orientation.ts';
import type { SourceGeometry } from './volume.ts';

export interface WriteNiftiOptions {
  /** Free text, cut to 79 bytes of UTF-8. */
  readonly description?: string;
  /** Stored in a header extension; see nifti_extension. */
  readonly labelNames?: LabelNames;
  /** Volumes in `data`; more than 1 makes a 4D file. */
  readonly channels?: number;
}

/** Beyond this a qform, which is a pure rotation, would misplace voxels; its code is then 0. */
const MAX_RESIDUAL = 1e-3;

/** NIfTI-1 stores sizes as int16. */
const MAX_DIM_NIFTI1 = 32767;

/**
 * A gzipped NIfTI file (NIfTI-1; NIfTI-2 where a size is above 32767) with `data` in the source file's own geometry.
 *
 * `data`: canonical order as in `Volume.data`, `channels` times the source's voxels; its type is the file's. sform
 * and qform both equal the source's affine; slope 1, inter 0. The same input gives the same bytes.
 */
export async function writeNifti(
  data: Uint8Array | Uint16Array | Float32Array,
  source: SourceGeometry,
  options: WriteNiftiOptions = {},
): Promise<Uint8Array> {
  const { channels = 1 } = options;
  const [ni, nj, nk] = source.dim;
  if (data.length !== ni * nj * nk * channels) {
    throw new DataError(
      `cannot write a NIfTI file: ${data.length} voxels given, ${ni}x${nj}x${nk}x${channels} in its geometry; pass the volume that the geometry came from`,
    );
  }
  const voxels = toFileOrder(data, source, channels);
  const extension = options.labelNames ? encodeLabelNames(options.labelNames) : new Uint8Array(0);
  const wide = Math.max(ni, nj, nk, channels) > MAX_DIM_NIFTI1;
  const headerBytes = wide ? 544 : 352;
  const offset = headerBytes + extension.length;
  const out = new Uint8Array(offset + voxels.byteLength);
  (wide ? header2 : header1)(new DataView(out.buffer), fieldsOf(data, source, channels, offset, wide));
  out.set(encodeText(options.description ?? '', 79), wide ? 240 : 148);
  out[headerBytes - 4] = extension.length > 0 ? 1 : 0;
  out.set(extension, headerBytes);
  out.set(new Uint8Array(voxels.buffer, voxels.byteOffset, voxels.byteLength), offset);
  return gzip(out);
}

interface Fields {
  readonly dim: readonly number[];
  readonly datatype: number;
  readonly bitpix: number;
  readonly pixdim: readonly number[];
  readonly offset: number;
  readonly qformCode: number;
  readonly sformCode: number;
  readonly quatern: readonly number[];
  readonly qoffset: readonly number[];
  readonly srow: readonly number[];
}

function fieldsOf(
  data: Uint8Array | Uint16Array | Float32Array,
  source: SourceGeometry,
  channels: number,
  offset: number,
  wide: boolean,
): Fields {
  const { qfac, pixdim, quatern, qoffset, residual } = toQform(source.affine, wide ? (value) => value : Math.fround);
  const code = source.code || 2; // a guessed orientation is written as nibabel writes an affine of no known origin
  return {
    dim: [channels > 1 ? 4 : 3, ...source.dim, channels, 1, 1, 1],
    datatype: data instanceof Uint8Array ? 2 : data instanceof Uint16Array ? 512 : 16,
    bitpix: 8 * data.BYTES_PER_ELEMENT,
    pixdim: [qfac, ...pixdim, 1, 1, 1, 1],
    offset,
    qformCode: residual > MAX_RESIDUAL ? 0 : code,
    sformCode: code,
    quatern,
    qoffset,
    srow: source.affine.slice(0, 12),
  };
}

const MILLIMETRES = 2;

/** NIfTI-1 header: 348 bytes, little-endian. */
function header1(view: DataView, f: Fields): void {
  const float = (at: number, values: readonly number[]) => {
    for (let i = 0; i < values.length; i++) view.setFloat32(at + 4 * i, values[i], true);
  };
  view.setInt32(0, 348, true);
  view.setUint8(38, 0x72); // 'r', kept from Analyze
  for (let i = 0; i < 8; i++) view.setInt16(40 + 2 * i, f.dim[i], true);
  view.setInt16(70, f.datatype, true);
  view.setInt16(72, f.bitpix, true);
  float(76, f.pixdim);
  float(108, [f.offset, 1, 0]); // vox_offset, scl_slope, scl_inter
  view.setUint8(123, MILLIMETRES);
  view.setInt16(252, f.qformCode, true);
  view.setInt16(254, f.sformCode, true);
  float(256, [...f.quatern, ...f.qoffset, ...f.srow]);
  setBytes(view, 344, [0x6e, 0x2b, 0x31, 0]); // n+1
}

/** NIfTI-2 header: 540 bytes, little-endian. */
function header2(view: DataView, f: Fields): void {
  const float = (at: number, values: readonly number[]) => {
    for (let i = 0; i < values.length; i++) view.setFloat64(at + 8 * i, values[i], true);
  };
  view.setInt32(0, 540, true);
  setBytes(view, 4, [0x6e, 0x2b, 0x32, 0, 0x0d, 0x0a, 0x1a, 0x0a]); // n+2 and line ends
  view.setInt16(12, f.datatype, true);
  view.setInt16(14, f.bitpix, true);
  for (let i = 0; i < 8; i++) view.setBigInt64(16 + 8 * i, BigInt(f.dim[i]), true);
  float(104, f.pixdim);
  view.setBigInt64(168, BigInt(f.offset), true);
  float(176, [1, 0]); // scl_slope, scl_inter
  view.setInt32(344, f.qformCode, true);
  view.setInt32(348, f.sformCode, true);
  float(352, [...f.quatern, ...f.qoffset, ...f.srow]);
  view.setInt32(500, MILLIMETRES, true);
}

function setBytes(view: DataView, at: number, bytes: readonly number[]): void {
  for (let i = 0; i < bytes.length; i++) view.setUint8(at + i, bytes[i]);
}

/** UTF-8, cut before the character that would pass `limit` bytes. */
function encodeText(text: string, limit: number): Uint8Array {
  const out = new Uint8Array(limit);
  const { written } = new TextEncoder().encodeInto(text, out);
  return out.subarray(0, written);
}
