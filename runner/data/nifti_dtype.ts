/** The scalar voxel types of NIfTI, and how their bytes become float64 values. */

export interface Dtype {
  readonly name: string;
  readonly bytes: 1 | 2 | 4 | 8;
  readonly integer: boolean;
  /** Writes voxels `first` to `first + out.length` of `raw` (native byte order, 8-byte aligned) to `out`. */
  readonly decode: (raw: Uint8Array<ArrayBuffer>, first: number, out: Float64Array) => void;
}

type View = Uint8Array | Int8Array | Int16Array | Uint16Array | Int32Array | Uint32Array | Float32Array | Float64Array;
type ViewConstructor = new (buffer: ArrayBuffer, byteOffset: number, length: number) => View;

function plain(name: string, View: ViewConstructor, bytes: Dtype['bytes']): Dtype {
  return {
    name,
    bytes,
    integer: !name.startsWith('float'),
    decode: (raw, first, out) => out.set(new View(raw.buffer, raw.byteOffset + first * bytes, out.length)),
  };
}

/** 64-bit integers as float64: exact up to 2^53, rounded beyond. */
function wide(name: string, signed: boolean): Dtype {
  return {
    name,
    bytes: 8,
    integer: true,
    decode: (raw, first, out) => {
      const low = new Uint32Array(raw.buffer, raw.byteOffset + first * 8, out.length * 2);
      const high = signed ? new Int32Array(raw.buffer, raw.byteOffset + first * 8, out.length * 2) : low;
      for (let i = 0; i < out.length; i++) out[i] = high[2 * i + 1] * 4294967296 + low[2 * i];
    },
  };
}

/** By NIfTI datatype code. */
export const DTYPES: ReadonlyMap<number, Dtype> = new Map([
  [2, plain('uint8', Uint8Array, 1)],
  [4, plain('int16', Int16Array, 2)],
  [8, plain('int32', Int32Array, 4)],
  [16, plain('float32', Float32Array, 4)],
  [64, plain('float64', Float64Array, 8)],
  [256, plain('int8', Int8Array, 1)],
  [512, plain('uint16', Uint16Array, 2)],
  [768, plain('uint32', Uint32Array, 4)],
  [1024, wide('int64', true)],
  [1280, wide('uint64', false)],
]);

/** What the datatype codes mean that hold no plain number per voxel, or one that is too wide. */
export const REFUSED_DTYPES: ReadonlyMap<number, string> = new Map([
  [0, 'voxels of unknown type'],
  [1, 'one-bit voxels'],
  [32, 'complex64 voxels'],
  [128, 'RGB colours (rgb24)'],
  [1536, 'float128 voxels'],
  [1792, 'complex128 voxels'],
  [2048, 'complex256 voxels'],
  [2304, 'RGBA colours (rgba32)'],
]);

/** Reverses the byte order of `size`-byte elements in place; `bytes` is aligned to 4 and a multiple of `size` long. */
export function swapBytes(bytes: Uint8Array<ArrayBuffer>, size: number): void {
  if (size === 2) {
    const words = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
    for (let i = 0; i < words.length; i++) words[i] = (words[i] << 8) | (words[i] >> 8);
  }
  if (size < 4) return;
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  for (let i = 0; i < words.length; i++) words[i] = swap32(words[i]);
  if (size === 8) {
    for (let i = 0; i < words.length; i += 2) {
      const low = words[i];
      words[i] = words[i + 1];
      words[i + 1] = low;
    }
  }
}

function swap32(word: number): number {
  return (word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24);
}
