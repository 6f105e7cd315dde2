import { gzipSync } from 'node:zlib';

/**
 * NIfTI files made field by field for tests, independently of the code under test: any type, byte order, version
 * and orientation, and any field spoilt.
 */

export const CODES = {
  uint8: 2,
  int16: 4,
  int32: 8,
  float32: 16,
  float64: 64,
  int8: 256,
  uint16: 512,
  uint32: 768,
  int64: 1024,
  uint64: 1280,
} as const;

export type DtypeName = keyof typeof CODES;

const BYTES: Record<DtypeName, number> = {
  uint8: 1,
  int16: 2,
  int32: 4,
  float32: 4,
  float64: 8,
  int8: 1,
  uint16: 2,
  uint32: 4,
  int64: 8,
  uint64: 8,
};

export interface Recipe {
  dim: readonly number[];
  /** In the file's order, first axis fastest. */
  values: ArrayLike<number>;
  dtype?: DtypeName;
  version?: 1 | 2;
  big?: boolean;
  /** 4x4 row-major with sform_code 1. */
  sform?: readonly number[];
  pixdim?: readonly number[];
  slope?: number;
  inter?: number;
  voxOffset?: number;
  /** The header of a pair, without voxels. */
  pair?: boolean;
  /** Last word on the header's bytes. */
  spoil?: (header: DataView) => void;
}

/** Voxels alone, as in an .img. */
export function voxelBytes({ values, dtype = 'uint8', big = false }: Recipe): Uint8Array {
  const size = BYTES[dtype];
  const out = new DataView(new ArrayBuffer(values.length * size));
  const little = !big;
  for (let i = 0; i < values.length; i++) {
    const [at, value] = [i * size, values[i]];
    if (dtype === 'uint8') out.setUint8(at, value);
    else if (dtype === 'int8') out.setInt8(at, value);
    else if (dtype === 'int16') out.setInt16(at, value, little);
    else if (dtype === 'uint16') out.setUint16(at, value, little);
    else if (dtype === 'int32') out.setInt32(at, value, little);
    else if (dtype === 'uint32') out.setUint32(at, value, little);
    else if (dtype === 'float32') out.setFloat32(at, value, little);
    else if (dtype === 'float64') out.setFloat64(at, value, little);
    else if (dtype === 'int64') out.setBigInt64(at, BigInt(value), little);
    else out.setBigUint64(at, BigInt(value), little);
  }
  return new Uint8Array(out.buffer);
}

/** A whole file: header, four bytes for extensions, voxels. */
export function niftiBytes(recipe: Recipe): Uint8Array<ArrayBuffer> {
  const { version = 1, pair = false } = recipe;
  const header = version === 2 ? 544 : 352;
  const voxels = pair ? new Uint8Array(0) : voxelBytes(recipe);
  const out = new Uint8Array(header + voxels.length);
  const view = new DataView(out.buffer);
  if (version === 2) fill2(view, recipe);
  else fill1(view, recipe);
  recipe.spoil?.(view);
  out.set(voxels, header);
  return out;
}

function fill1(view: DataView, recipe: Recipe): void {
  const { dim, dtype = 'uint8', big = false, sform, pixdim, pair = false } = recipe;
  const little = !big;
  view.setInt32(0, 348, little);
  view.setInt16(40, dim.length, little);
  dim.forEach((size, i) => {
    view.setInt16(42 + 2 * i, size, little);
  });
  view.setInt16(70, CODES[dtype], little);
  view.setInt16(72, 8 * BYTES[dtype], little);
  const sizes = pixdim ?? [1, 1, 1, 1];
  sizes.forEach((size, i) => {
    view.setFloat32(76 + 4 * i, size, little);
  });
  view.setFloat32(108, recipe.voxOffset ?? (pair ? 0 : 352), little);
  view.setFloat32(112, recipe.slope ?? 0, little);
  view.setFloat32(116, recipe.inter ?? 0, little);
  if (sform) view.setInt16(254, 1, little);
  for (let i = 0; i < 12; i++) view.setFloat32(280 + 4 * i, sform?.[i] ?? 0, little);
  [...(pair ? 'ni1' : 'n+1')].forEach((letter, i) => {
    view.setUint8(344 + i, letter.charCodeAt(0));
  });
}

function fill2(view: DataView, recipe: Recipe): void {
  const { dim, dtype = 'uint8', big = false, sform, pixdim, pair = false } = recipe;
  const little = !big;
  view.setInt32(0, 540, little);
  [...(pair ? 'ni2' : 'n+2'), '\0', '\r', '\n', '\x1a', '\n'].forEach((letter, i) => {
    view.setUint8(4 + i, letter.charCodeAt(0));
  });
  view.setInt16(12, CODES[dtype], little);
  view.setInt16(14, 8 * BYTES[dtype], little);
  view.setBigInt64(16, BigInt(dim.length), little);
  dim.forEach((size, i) => {
    view.setBigInt64(24 + 8 * i, BigInt(size), little);
  });
  const sizes = pixdim ?? [1, 1, 1, 1];
  sizes.forEach((size, i) => {
    view.setFloat64(104 + 8 * i, size, little);
  });
  view.setBigInt64(168, BigInt(recipe.voxOffset ?? (pair ? 0 : 544)), little);
  view.setFloat64(176, recipe.slope ?? 0, little);
  view.setFloat64(184, recipe.inter ?? 0, little);
  if (sform) view.setInt32(348, 1, little);
  for (let i = 0; i < 12; i++) view.setFloat64(400 + 8 * i, sform?.[i] ?? 0, little);
}

export type Zip = 'none' | 'gzip' | 'members';

/** As it is, as one gzip member, or as three. */
export function zipped(bytes: Uint8Array, zip: Zip): Uint8Array {
  if (zip === 'none') return bytes;
  if (zip === 'gzip') return gzipSync(bytes);
  const [a, b] = [Math.floor(bytes.length / 3), Math.floor(bytes.length / 2)];
  return Buffer.concat([bytes.subarray(0, a), bytes.subarray(a, b), bytes.subarray(b)].map((part) => gzipSync(part)));
}

/** 48 orientations: axis permutations times reversals, with these voxel sizes along the file's axes. */
export function orientation(index: number, zooms: readonly number[], origin: readonly number[]): number[] {
  const orders = [
    [0, 1, 2],
    [0, 2, 1],
    [1, 0, 2],
    [1, 2, 0],
    [2, 0, 1],
    [2, 1, 0],
  ];
  const order = orders[index >> 3];
  const out = [0, 0, 0, origin[0], 0, 0, 0, origin[1], 0, 0, 0, origin[2], 0, 0, 0, 1];
  for (let axis = 0; axis < 3; axis++) {
    out[order[axis] * 4 + axis] = ((index >> axis) & 1 ? -1 : 1) * zooms[axis];
  }
  return out;
}

/** Voxel values for tests, small enough for every type. */
export function ramp(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i % 100);
}

export const LPS = orientation(3, [1, 2, 3], [90, 126, -72]);

/** A sound file, to be spoilt. */
export const GOOD = { dim: [3, 4, 5], values: ramp(60), dtype: 'int16', sform: LPS } as const;

/** World coordinates of voxel (i, j, k). */
export function world(affine: readonly number[], i: number, j: number, k: number): [number, number, number] {
  const at = (row: number) => affine[row] * i + affine[row + 1] * j + affine[row + 2] * k + affine[row + 3];
  return [at(0), at(4), at(8)];
}
