import { DataError } from '../../engine/errors.ts';
import { type Dtype, swapBytes } from './nifti_dtype.ts';
import { canonicalSteps } from './orientation.ts';
import type { SourceGeometry } from './volume.ts';

/** Whole numbers up to here are exact in float32. */
const EXACT = 2 ** 24;

export interface VoxelFormat {
  readonly dtype: Dtype;
  readonly littleEndian: boolean;
  /** Value = stored * slope + inter, computed in float64 and rounded once. */
  readonly slope: number;
  readonly inter: number;
  readonly role: 'image' | 'label';
}

/**
 * Voxel bytes in the file's order to float32 in canonical order, one channel after the other. `raw` is 8-byte
 * aligned and holds `channels` volumes; its byte order is undone in place. Labels must be whole numbers that float32
 * holds exactly, else DataError. Integers that float32 must round are told to `warn`.
 */
export function decodeVoxels(
  raw: Uint8Array<ArrayBuffer>,
  format: VoxelFormat,
  source: SourceGeometry,
  channels: number,
  name: string,
  warn: (sentence: string) => void,
): Float32Array {
  const { dtype, slope, inter } = format;
  const [ni, nj, nk] = source.dim;
  const { start, steps } = canonicalSteps(source);
  const slice = ni * nj;
  const out = new Float32Array(slice * nk * channels);
  const slab = new Float64Array(slice);
  let largest = 0;
  if (!format.littleEndian) swapBytes(raw, dtype.bytes);
  for (let channel = 0; channel < channels; channel++) {
    for (let k = 0; k < nk; k++) {
      dtype.decode(raw, (channel * nk + k) * slice, slab);
      if (slope !== 1 || inter !== 0) for (let s = 0; s < slice; s++) slab[s] = slab[s] * slope + inter;
      if (format.role === 'label') roundLabels(slab, ni, k, name);
      else if (dtype.integer && dtype.bytes > 2) largest = Math.max(largest, magnitude(slab));
      const base = channel * slice * nk + start + k * steps[2];
      for (let j = 0, s = 0; j < nj; j++) {
        let to = base + j * steps[1];
        for (let i = 0; i < ni; i++, to += steps[0]) out[to] = slab[s++];
      }
    }
  }
  if (largest > EXACT) warn(`${dtype.name} voxels reach ${largest} and are rounded to float32 above ${EXACT}`);
  return out;
}

function magnitude(values: Float64Array): number {
  let largest = 0;
  for (let i = 0; i < values.length; i++) {
    const size = Math.abs(values[i]);
    if (size > largest) largest = size;
  }
  return largest;
}

/** Rounds one slice of labels in place where they are within 0.001 of whole numbers. */
function roundLabels(slab: Float64Array, ni: number, k: number, name: string): void {
  for (let s = 0; s < slab.length; s++) {
    const rounded = Math.round(slab[s]);
    if (!(Math.abs(slab[s] - rounded) < 1e-3)) {
      throw new DataError(
        `${name} is no label map: voxel (i ${s % ni}, j ${Math.floor(s / ni)}, k ${k}) has the value ${Number(slab[s].toPrecision(6))}, and labels are whole numbers; if it was resampled, do it again with nearest-neighbour interpolation`,
      );
    }
    if (Math.abs(rounded) > EXACT) {
      throw new DataError(
        `${name} has the label ${rounded} at voxel (i ${s % ni}, j ${Math.floor(s / ni)}, k ${k}), above the largest usable one, ${EXACT}; renumber its labels`,
      );
    }
    slab[s] = rounded + 0; // no negative zero
  }
}
