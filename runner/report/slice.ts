/** Two-dimensional slices of canonical (RAS) volumes as radiologists look at them, and their resampling to pixels. */
import type { Triple } from '../../engine/shape.ts';

export type Plane = 'axial' | 'coronal' | 'sagittal';

/**
 * The volume axis ([z, y, x] is 0, 1, 2) across each plane, down its rows and along its columns, with the directions at the
 * left and the top edge. Rows and columns all run against their axis: right on the left, front and head at the top.
 */
export const PLANES: Record<
  Plane,
  { normal: 0 | 1 | 2; row: 0 | 1 | 2; column: 0 | 1 | 2; left: string; top: string }
> = {
  axial: { normal: 0, row: 1, column: 2, left: 'R', top: 'A' },
  coronal: { normal: 1, row: 0, column: 2, left: 'R', top: 'S' },
  sagittal: { normal: 2, row: 0, column: 1, left: 'A', top: 'S' },
};

export interface Slice {
  readonly data: Float32Array;
  readonly rows: number;
  readonly columns: number;
}

/** A half-open range of voxels along each of [z, y, x]. */
export interface Region {
  readonly lo: Triple;
  readonly hi: Triple;
}

/** Voxels of one slice inside a region, first row at the top of the picture; `value` turns a voxel into what is wanted. */
export function extractSlice(
  volume: ArrayLike<number>,
  shape: Triple,
  plane: Plane,
  index: number,
  { lo, hi }: Region,
  value: (voxel: number) => number = (voxel) => voxel,
): Slice {
  const { normal, row, column } = PLANES[plane];
  const strides = [shape[1] * shape[2], shape[2], 1];
  const rows = hi[row] - lo[row];
  const columns = hi[column] - lo[column];
  const data = new Float32Array(rows * columns);
  for (let r = 0, i = 0; r < rows; r++) {
    const start = index * strides[normal] + (hi[row] - 1 - r) * strides[row];
    for (let c = 0; c < columns; c++) data[i++] = value(volume[start + (hi[column] - 1 - c) * strides[column]]);
  }
  return { data, rows, columns };
}

/** An interpolation kernel: its half-width in samples, and its weight at a distance. */
export interface Kernel {
  readonly support: number;
  readonly weight: (distance: number) => number;
}

/** Interpolating cubic of Catmull and Rom (1974): smooth, and true to the samples. */
export const CATMULL_ROM: Kernel = {
  support: 2,
  weight: (d) => (d < 1 ? (1.5 * d - 2.5) * d * d + 1 : d < 2 ? ((2.5 - 0.5 * d) * d - 4) * d + 2 : 0),
};

/** Quadratic B-spline: of a mask it makes a field whose 0.5 contour is smooth and keeps single voxels. */
export const QUADRATIC_SPLINE: Kernel = {
  support: 1.5,
  weight: (d) => (d < 0.5 ? 0.75 - d * d : d < 1.5 ? 0.5 * (1.5 - d) ** 2 : 0),
};

/** The slice at another size, covering the same field; edges repeat, and shrinking widens the kernel so that nothing aliases. */
export function resampleSlice(slice: Slice, rows: number, columns: number, kernel: Kernel): Slice {
  const along = taps(slice.columns, columns, kernel);
  const wide = new Float32Array(slice.rows * columns);
  for (let r = 0; r < slice.rows; r++) {
    for (let c = 0; c < columns; c++) {
      let sum = 0;
      for (const [from, weight] of along[c]) sum += weight * slice.data[r * slice.columns + from];
      wide[r * columns + c] = sum;
    }
  }
  const data = new Float32Array(rows * columns);
  taps(slice.rows, rows, kernel).forEach((line, r) => {
    for (const [from, weight] of line) {
      for (let c = 0; c < columns; c++) data[r * columns + c] += weight * wide[from * columns + c];
    }
  });
  return { data, rows, columns };
}

/** For each of `to` outputs, the inputs it is made of and their weights, which sum to 1. */
function taps(from: number, to: number, { support, weight }: Kernel): [number, number][][] {
  const step = from / to;
  const widen = Math.max(1, step);
  return Array.from({ length: to }, (_, i) => {
    const center = (i + 0.5) * step - 0.5;
    const line: [number, number][] = [];
    let total = 0;
    for (let j = Math.ceil(center - support * widen); j <= center + support * widen; j++) {
      const w = weight(Math.abs(j - center) / widen);
      total += w;
      line.push([Math.min(from - 1, Math.max(0, j)), w]);
    }
    return line.map(([j, w]): [number, number] => [j, w / total]);
  });
}
