import type { FileAxis, SourceGeometry, Volume } from './volume.ts';

/**
 * From a file's own voxel axes to canonical RAS+ and back, by permuting and reversing axes only: no voxel is
 * resampled. Affines are 4x4, row-major.
 */

type Triple = readonly [number, number, number];
type Axes = SourceGeometry['axes'];

/**
 * For each world axis x, y, z the file axis that runs along it, chosen as nibabel's `io_orientation` does: on the
 * rotation nearest to the affine's direction columns (its polar factor), file axis after file axis, each taking the
 * largest free world axis. Undefined where the affine is singular.
 */
export function canonicalAxes(affine: readonly number[]): Axes | undefined {
  const rotation = nearestOrthogonal(directions(affine));
  if (!rotation) return undefined;
  const axes: FileAxis[] = new Array(3);
  for (const axis of [0, 1, 2] as const) {
    let best = -1;
    for (let world = 0; world < 3; world++) {
      if (axes[world]) continue;
      if (best < 0 || Math.abs(rotation[world * 3 + axis]) > Math.abs(rotation[best * 3 + axis])) best = world;
    }
    axes[best] = { axis, flip: rotation[best * 3 + axis] < 0 };
  }
  return axes as unknown as Axes;
}

/** Shape, spacing and affine of the canonical volume that a file's geometry gives. */
export function canonicalGeometry(source: SourceGeometry): Pick<Volume, 'shape' | 'spacing' | 'affine'> {
  const { dim, affine, axes } = source;
  const out = [0, 0, 0, affine[3], 0, 0, 0, affine[7], 0, 0, 0, affine[11], 0, 0, 0, 1];
  for (let world = 0; world < 3; world++) {
    const { axis, flip } = axes[world];
    for (let row = 0; row < 3; row++) {
      const step = affine[row * 4 + axis];
      out[row * 4 + world] = flip ? 0 - step : step;
      if (flip) out[row * 4 + 3] += step * (dim[axis] - 1);
    }
  }
  const [x, y, z] = axes;
  return {
    shape: [dim[z.axis], dim[y.axis], dim[x.axis]],
    spacing: [columnNorm(out, 2), columnNorm(out, 1), columnNorm(out, 0)],
    affine: out,
  };
}

/** Where file voxel (i, j, k) lies in canonical data: `start + i * steps[0] + j * steps[1] + k * steps[2]`. */
export function canonicalSteps(source: SourceGeometry): { start: number; steps: Triple } {
  const { dim, axes } = source;
  const steps: [number, number, number] = [0, 0, 0];
  let start = 0;
  let stride = 1;
  for (const { axis, flip } of axes) {
    steps[axis] = flip ? -stride : stride;
    if (flip) start += stride * (dim[axis] - 1);
    stride *= dim[axis];
  }
  return { start, steps };
}

/** Canonical voxels, one channel after the other, put in the file's order: the exact inverse of reading. */
export function toFileOrder<T extends Uint8Array | Uint16Array | Float32Array>(
  data: T,
  source: SourceGeometry,
  channels: number,
): T {
  const [ni, nj, nk] = source.dim;
  const { start, steps } = canonicalSteps(source);
  const out = new (data.constructor as new (length: number) => T)(data.length);
  const voxels = ni * nj * nk;
  let at = 0;
  for (let channel = 0; channel < channels; channel++) {
    for (let k = 0; k < nk; k++) {
      for (let j = 0; j < nj; j++) {
        let from = channel * voxels + start + j * steps[1] + k * steps[2];
        for (let i = 0; i < ni; i++, from += steps[0]) out[at++] = data[from];
      }
    }
  }
  return out;
}

/** The directions in which the file's axes run, e.g. 'LPS'; as nibabel's `aff2axcodes`. */
export function orientationCode(axes: Axes): string {
  const letters = ['LR', 'PA', 'IS'];
  const code = ['', '', ''];
  axes.forEach(({ axis, flip }, world) => {
    code[axis] = letters[world][flip ? 0 : 1];
  });
  return code.join('');
}

/** Length of column `axis` of an affine: millimetres between neighbours along that axis. */
export function columnNorm(affine: readonly number[], axis: number): number {
  // not hypot, whose last digit differs between engines
  return Math.sqrt(affine[axis] ** 2 + affine[4 + axis] ** 2 + affine[8 + axis] ** 2);
}

/** The affine's 3x3 part, row-major, each column scaled to length 1 (a zero column stays zero). */
export function directions(affine: readonly number[]): number[] {
  const out: number[] = new Array(9);
  for (let axis = 0; axis < 3; axis++) {
    const norm = columnNorm(affine, axis) || 1;
    for (let row = 0; row < 3; row++) out[row * 3 + axis] = affine[row * 4 + axis] / norm;
  }
  return out;
}

/**
 * The orthogonal matrix nearest to a 3x3 matrix with unit columns (its polar factor), by Newton's iteration
 * X <- (X + X^-T) / 2 (Higham 1986). Undefined where the columns are dependent or not finite.
 */
export function nearestOrthogonal(m: readonly number[]): number[] | undefined {
  if (!(Math.abs(determinant(m)) > 1e-6)) return undefined;
  let x = [...m];
  for (let iteration = 0; iteration < 100; iteration++) {
    const inverse = inverseTranspose(x);
    let change = 0;
    x = x.map((value, i) => {
      const next = 0.5 * (value + inverse[i]);
      change = Math.max(change, Math.abs(next - value));
      return next;
    });
    if (change < 1e-15) break;
  }
  return x;
}

export function determinant(m: readonly number[]): number {
  return m[0] * (m[4] * m[8] - m[5] * m[7]) - m[1] * (m[3] * m[8] - m[5] * m[6]) + m[2] * (m[3] * m[7] - m[4] * m[6]);
}

function inverseTranspose(m: readonly number[]): number[] {
  const d = determinant(m);
  return [
    (m[4] * m[8] - m[5] * m[7]) / d,
    (m[5] * m[6] - m[3] * m[8]) / d,
    (m[3] * m[7] - m[4] * m[6]) / d,
    (m[2] * m[7] - m[1] * m[8]) / d,
    (m[0] * m[8] - m[2] * m[6]) / d,
    (m[1] * m[6] - m[0] * m[7]) / d,
    (m[1] * m[5] - m[2] * m[4]) / d,
    (m[2] * m[3] - m[0] * m[5]) / d,
    (m[0] * m[4] - m[1] * m[3]) / d,
  ];
}
