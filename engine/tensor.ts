import { fromBf16, toBf16 } from './bf16.ts';
import { ShapeError } from './errors.ts';
import { formatShape, padChannels, product } from './shape.ts';

/** 'bf16' is storage only: kernels compute in float32 (bf16.ts). */
export type Dtype = 'f32' | 'u32' | 'bf16';

/** Bytes on the device that one or more tensors look into. A persistent storage owns a buffer; others are planned. */
export interface Storage {
  readonly label: string;
  readonly bytes: number;
  /** The buffer of a persistent storage; undefined while a recording plans it. */
  readonly buffer?: GPUBuffer;
}

/**
 * A view of a storage. Channel tensors ([N, D, H, W, C], [rows, C]) keep the last axis innermost and padded with zeros
 * to `pitch`, a multiple of four; dense tensors (labels, scalars, index lists) have pitch = last extent.
 */
export interface Tensor {
  readonly label: string;
  readonly shape: readonly number[];
  readonly pitch: number;
  readonly dtype: Dtype;
  readonly storage: Storage;
  /** Bytes from the start of the storage; a multiple of 256. */
  readonly offset: number;
  readonly requiresGrad: boolean;
  /** Where the gradient of a leaf goes; set for trainable parameters only. */
  readonly grad?: Tensor;
  /** Of a tensor that stands for several (spanOf): those, which are all that is used of it. */
  readonly parts?: readonly Tensor[];
}

/** Elements as stored, padding included. */
export function storedElements(t: Tensor): number {
  return rows(t) * t.pitch;
}

export function storedBytes(t: Tensor): number {
  return storedElements(t) * elementBytes(t.dtype);
}

export function elementBytes(dtype: Dtype): number {
  return dtype === 'bf16' ? 2 : 4;
}

/** The bytes from the first to the last of some tensors of one storage and dtype, for commands that use them all. */
export function spanOf(tensors: readonly Tensor[]): Tensor {
  const parts = [...new Set(tensors)];
  const [{ dtype, storage, label }] = parts;
  const offset = Math.min(...parts.map((t) => t.offset));
  const bytes = Math.max(...parts.map((t) => t.offset + storedBytes(t))) - offset;
  const elements = bytes / elementBytes(dtype);
  return {
    label: parts.length > 1 ? `${label} and ${parts.length - 1} more` : label,
    ...{ shape: [elements], pitch: elements, dtype, storage, offset, requiresGrad: false, parts },
  };
}

/** Whether two tensors have bytes in common. */
export function overlap(a: Tensor, b: Tensor): boolean {
  return a.storage === b.storage && a.offset < b.offset + storedBytes(b) && b.offset < a.offset + storedBytes(a);
}

/** Product of all axes but the last: voxels of a volume, rows of a matrix. */
export function rows(t: Tensor): number {
  return product(t.shape.slice(0, -1));
}

/** Extent of the last axis without its padding. */
export function channels(t: Tensor): number {
  return t.shape[t.shape.length - 1];
}

/** vec4 units of a channel tensor. */
export function vec4s(t: Tensor): number {
  return storedElements(t) / 4;
}

export function pitchOf(shape: readonly number[], dense: boolean): number {
  const last = shape[shape.length - 1];
  return dense ? last : padChannels(last);
}

/** [N, D, H, W, C] of a volume tensor, or an error naming what came instead. */
export function volumeShape(t: Tensor, op: string): [number, number, number, number, number] {
  if (t.shape.length !== 5) {
    throw new ShapeError(`${op}: '${t.label}' must be [N, D, H, W, C], got ${formatShape(t.shape)}`);
  }
  return t.shape as unknown as [number, number, number, number, number];
}

/** Lays dense host values out as the tensor stores them: rows of `pitch`, zeros behind the last channel, bfloat16 in words. */
export function toStored(t: Tensor, dense: ArrayLike<number>): Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer> {
  if (t.dtype === 'bf16') return toBf16(toStored({ ...t, dtype: 'f32' }, dense) as Float32Array);
  const count = product(t.shape);
  if (dense.length !== count) {
    throw new ShapeError(`'${t.label}': ${formatShape(t.shape)} needs ${count} values, got ${dense.length}`);
  }
  const stored = t.dtype === 'f32' ? new Float32Array(storedElements(t)) : new Uint32Array(storedElements(t));
  const last = channels(t);
  if (last === t.pitch) {
    stored.set(dense);
    return stored;
  }
  for (let row = 0, from = 0; from < count; row++) {
    for (let c = 0; c < last; c++) stored[row * t.pitch + c] = dense[from++];
  }
  return stored;
}

/** The inverse of toStored, out of what the device holds: drops the padding. */
export function fromStored(t: Tensor, bytes: ArrayBuffer): Float32Array | Uint32Array {
  if (t.dtype === 'u32') return unpadded(t, new Uint32Array(bytes));
  return unpadded(t, t.dtype === 'bf16' ? fromBf16(new Uint32Array(bytes)) : new Float32Array(bytes));
}

/** Drops the padding of values that lie as the tensor stores them. */
export function unpadded<T extends Float32Array | Uint32Array>(t: Tensor, stored: T): T {
  const last = channels(t);
  if (last === t.pitch) return stored.slice(0, product(t.shape)) as T;
  const dense = new (stored.constructor as new (n: number) => T)(product(t.shape));
  for (let row = 0, to = 0; to < dense.length; row++) {
    for (let c = 0; c < last; c++) dense[to++] = stored[row * t.pitch + c];
  }
  return dense;
}
