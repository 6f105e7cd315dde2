import type { Prepared } from './preprocess.ts';

/** Voxels of a prepared image, kept outside of memory. */
export interface StoredVoxels {
  readonly length: number;
  /** Copies the values from position `from` on into the whole of `target`. */
  read(from: number, target: Float32Array<ArrayBuffer>): void;
}

/** Planar, x fastest: [C][z][y][x]. */
export type Voxels = Float32Array<ArrayBuffer> | StoredVoxels;

/** Decides where the voxels of an image stay from now on; the values may be read there, not changed. */
export type KeepVoxels = (values: Float32Array<ArrayBuffer>) => Voxels;

/** A prepared case whose image may lie outside of memory; its label is in memory. */
export interface PatchCase extends Omit<Prepared, 'image'> {
  readonly image: Voxels;
}

/** All of an image in memory. */
export function inMemory(image: Voxels): Float32Array<ArrayBuffer> {
  if (image instanceof Float32Array) return image;
  const values = new Float32Array(image.length);
  image.read(0, values);
  return values;
}
