import { NIFTI1, NIFTI2 } from 'nifti-reader-js';
import { DataError } from '../../engine/errors.ts';
import { DTYPES, type Dtype, REFUSED_DTYPES } from './nifti_dtype.ts';
import { describeForeign } from './nifti_foreign.ts';

/** Enough of a file for either header and the four bytes that announce extensions. */
export const HEADER_BYTES = 544;

/** A float32 volume above this many bytes is refused: typed arrays and GPU uploads stay below it everywhere. */
export const MAX_BYTES = 2 ** 31;

/** Header fields as stored, byte order undone, NIfTI-1 and NIfTI-2 alike. */
export interface NiftiFields {
  readonly version: 1 | 2;
  readonly littleEndian: boolean;
  /** Voxels follow in the same file (n+1, n+2) rather than in an .img beside it (ni1, ni2). */
  readonly single: boolean;
  readonly dim: readonly number[];
  readonly pixdim: readonly number[];
  readonly datatype: number;
  readonly bitpix: number;
  readonly voxOffset: number;
  readonly slope: number;
  readonly inter: number;
  readonly qformCode: number;
  readonly sformCode: number;
  /** b, c, d of the rotation's unit quaternion. */
  readonly quatern: readonly [number, number, number];
  readonly qoffset: readonly [number, number, number];
  /** srow_x, srow_y, srow_z: the first three rows of the sform. */
  readonly srow: readonly number[];
  readonly units: number;
  readonly description: string;
  readonly extended: boolean;
}

/** What the header says about the voxels: where they are, how many and of which type. */
export interface NiftiLayout {
  readonly dim: readonly [number, number, number];
  readonly channels: number;
  readonly dtype: Dtype;
  /** Bytes before the first voxel. */
  readonly offset: number;
  /** Value = stored * slope + inter. */
  readonly slope: number;
  readonly inter: number;
}

/** Reads the fields from the first bytes of a file. Throws DataError where they are no NIfTI header. */
export function parseFields(bytes: Uint8Array, name: string): NiftiFields {
  const version = magicVersion(bytes);
  const size = version === 2 ? 540 : 348;
  if (version === 0 || bytes.length < size) throw new DataError(describeForeign(bytes, name));
  // The header alone: given more, the reader parses extensions too, and stumbles over odd ones.
  const header = new Uint8Array(bytes.subarray(0, size)).buffer;
  const view = new DataView(header);
  if (view.getInt32(0, true) !== size && view.getInt32(0, false) !== size) {
    throw new DataError(
      `${name} has a damaged NIfTI-${version} header (its size field says ${view.getInt32(0, true)}, not ${size}); export it again`,
    );
  }
  if (version === 2) requireLineEnds(bytes, name);
  const fields = version === 2 ? new NIFTI2() : new NIFTI1();
  fields.readHeader(header);
  const { littleEndian } = fields;
  // The reader overwrites the sform by the qform in some files, so the rows are read here.
  const row = (i: number) =>
    version === 2 ? view.getFloat64(400 + 8 * i, littleEndian) : view.getFloat32(280 + 4 * i, littleEndian);
  return {
    version,
    littleEndian,
    single: bytes[version === 2 ? 5 : 345] === 0x2b,
    dim: fields.dims,
    pixdim: fields.pixDims,
    datatype: fields.datatypeCode,
    bitpix: fields.numBitsPerVoxel,
    voxOffset: fields.vox_offset,
    slope: fields.scl_slope,
    inter: fields.scl_inter,
    qformCode: fields.qform_code,
    sformCode: fields.sform_code,
    quatern: [fields.quatern_b, fields.quatern_c, fields.quatern_d],
    qoffset: [fields.qoffset_x, fields.qoffset_y, fields.qoffset_z],
    srow: Array.from({ length: 12 }, (_, i) => row(i)),
    units: fields.xyzt_units,
    description: fields.description,
    extended: bytes.length >= size + 4 && bytes[size] !== 0,
  };
}

/** Validates sizes, type and scaling before anything is allocated; appends to `warnings`. Throws DataError. */
export function readLayout(fields: NiftiFields, name: string, warnings: string[]): NiftiLayout {
  const dtype = readDtype(fields, name, warnings);
  const { dim, channels } = readDim(fields, name, warnings);
  const { slope, inter } = readScaling(fields, name);
  return { dim, channels, dtype, offset: readOffset(fields, name, warnings), slope, inter };
}

function magicVersion(bytes: Uint8Array): 0 | 1 | 2 {
  const magic = (at: number, digit: number) =>
    bytes[at] === 0x6e && (bytes[at + 1] === 0x2b || bytes[at + 1] === 0x69) && bytes[at + 2] === digit;
  if (magic(4, 0x32)) return 2;
  return magic(344, 0x31) ? 1 : 0;
}

function requireLineEnds(bytes: Uint8Array, name: string): void {
  const found = [...bytes.subarray(8, 12)];
  const expected = [0x0d, 0x0a, 0x1a, 0x0a];
  if (found.every((byte) => byte === 0) || found.every((byte, i) => byte === expected[i])) return;
  throw new DataError(
    `${name} was changed in transfer: the line-end bytes of its NIfTI-2 magic are ${found} instead of ${expected}; copy it again in binary mode`,
  );
}

function readDtype(fields: NiftiFields, name: string, warnings: string[]): Dtype {
  const dtype = DTYPES.get(fields.datatype);
  if (!dtype) {
    const what = REFUSED_DTYPES.get(fields.datatype) ?? 'a voxel type that NIfTI does not define';
    throw new DataError(
      `${name} holds ${what} (datatype ${fields.datatype}); one plain number per voxel is needed, so convert it to int16 or float32`,
    );
  }
  if (fields.bitpix !== dtype.bytes * 8) {
    warnings.push(`bitpix says ${fields.bitpix} but ${dtype.name} has ${dtype.bytes * 8} bits; the datatype is used`);
  }
  if (dtype.name === 'float64') warnings.push('float64 voxels are rounded to float32 (7 digits)');
  return dtype;
}

function readDim(fields: NiftiFields, name: string, warnings: string[]): Pick<NiftiLayout, 'dim' | 'channels'> {
  const rank = fields.dim[0];
  if (!(rank >= 1 && rank <= 7)) {
    throw new DataError(`${name} has a damaged header: it claims ${rank} dimensions (1 to 7 exist); export it again`);
  }
  const sizes = [1, 2, 3, 4, 5, 6, 7].map((axis) => (axis <= rank && fields.dim[axis] !== 0 ? fields.dim[axis] : 1));
  const listed = fields.dim.slice(1, rank + 1).join('x');
  if (sizes.some((size) => !(size > 0))) {
    throw new DataError(`${name} has a damaged header: its dimensions are ${listed}; export it again`);
  }
  const [ni, nj, nk, channels, ...more] = sizes;
  if (more.some((size) => size > 1)) {
    throw new DataError(
      `${name} has ${rank} dimensions (${listed}); 3, or 4 with one channel per volume, can be read, so split or squeeze it first`,
    );
  }
  if (nk === 1) warnings.push(`2D (${ni}x${nj}): read as a volume of one slice`);
  return { dim: [ni, nj, nk], channels };
}

/** Throws DataError where `channels` volumes of this size would not fit as float32. */
export function requireFits(layout: NiftiLayout, channels: number, name: string): void {
  const [ni, nj, nk] = layout.dim;
  const bytes = ni * nj * nk * channels * Math.max(4, layout.dtype.bytes);
  if (bytes <= MAX_BYTES) return;
  const remedy = channels > 1 ? 'pick one volume, or crop or downsample it' : 'crop or downsample it';
  const size = `${ni}x${nj}x${nk}${channels > 1 ? `x${channels}` : ''}`;
  throw new DataError(
    `${name} holds ${size} ${layout.dtype.name} voxels, ${(bytes / 2 ** 30).toFixed(1)} GiB in memory where at most 2 GiB can be used; ${remedy}`,
  );
}

function readScaling({ slope, inter }: NiftiFields, name: string): { slope: number; inter: number } {
  if (slope === 0 || !Number.isFinite(slope)) return { slope: 1, inter: 0 };
  if (Number.isFinite(inter)) return { slope, inter };
  throw new DataError(
    `${name} scales its voxels by ${slope} and adds ${inter}; set scl_inter to a finite number (0 for none) in its header`,
  );
}

function readOffset(fields: NiftiFields, name: string, warnings: string[]): number {
  const offset = Math.trunc(fields.voxOffset);
  if (!(offset >= 0)) {
    throw new DataError(`${name} has a damaged header: its voxels start at byte ${fields.voxOffset}; export it again`);
  }
  const least = fields.single ? (fields.version === 2 ? 544 : 352) : 0;
  if (offset >= least) return offset;
  if (offset > 0) warnings.push(`vox_offset is ${offset}, inside the header; ${least} is used`);
  return least;
}
