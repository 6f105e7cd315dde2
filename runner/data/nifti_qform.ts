import type { NiftiFields } from './nifti_header.ts';
import { columnNorm, determinant, directions, nearestOrthogonal } from './orientation.ts';

/** The qform of a NIfTI header (a rotation as a quaternion, voxel sizes, an offset) and affines: either way. */

type Triple = readonly [number, number, number];

/**
 * The qform's affine (NIfTI-1 standard, method 2), or undefined where its quaternion is none. The threshold, three
 * float spacings of the stored type, is nibabel's.
 */
export function qform(fields: NiftiFields): number[] | undefined {
  const [b, c, d] = fields.quatern;
  const a2 = 1 - (b * b + c * c + d * d);
  const slack = 3 * (fields.version === 2 ? Number.EPSILON : 2 ** -23);
  if (!(a2 > -slack)) return undefined;
  const rotation = rotationOf(a2 < slack ? 0 : Math.sqrt(a2), b, c, d);
  const [dx, dy, dz] = voxelSizes(fields);
  const zooms = [dx, dy, fields.pixdim[0] === -1 ? -dz : dz];
  const out = [0, 0, 0, fields.qoffset[0], 0, 0, 0, fields.qoffset[1], 0, 0, 0, fields.qoffset[2], 0, 0, 0, 1];
  for (let row = 0; row < 3; row++) {
    for (let col = 0; col < 3; col++) out[row * 4 + col] = rotation[row * 3 + col] * zooms[col];
  }
  return out;
}

/** The qform fields nearest to an affine. */
export interface QformFields {
  readonly qfac: 1 | -1;
  readonly pixdim: Triple;
  readonly quatern: Triple;
  readonly qoffset: Triple;
  /** Largest difference between the affine's unit columns and those that the stored fields give back. */
  readonly residual: number;
}

/** Nearest rotation, voxel sizes and offset of an affine; `round` is applied to what will be stored. */
export function toQform(affine: readonly number[], round: (value: number) => number): QformFields {
  const unit = directions(affine);
  const qfac = determinant(unit) < 0 ? -1 : 1;
  const proper = unit.map((value, i) => (i % 3 === 2 ? value * qfac : value));
  const [, b, c, d] = quaternionOf(nearestOrthogonal(proper) ?? [1, 0, 0, 0, 1, 0, 0, 0, 1]);
  const quatern = [round(b), round(c), round(d)] as const;
  const a2 = 1 - (quatern[0] ** 2 + quatern[1] ** 2 + quatern[2] ** 2);
  const back = rotationOf(Math.sqrt(Math.max(0, a2)), ...quatern);
  const residual = back.reduce((worst, value, i) => Math.max(worst, Math.abs(value - proper[i])), 0);
  return {
    qfac,
    pixdim: [columnNorm(affine, 0), columnNorm(affine, 1), columnNorm(affine, 2)],
    quatern,
    qoffset: [affine[3], affine[7], affine[11]],
    residual,
  };
}

/** Rotation matrix (3x3, row-major) of a quaternion, scaled to unit length. */
function rotationOf(a: number, b: number, c: number, d: number): number[] {
  const s = 2 / (a * a + b * b + c * c + d * d);
  return [
    1 - s * (c * c + d * d),
    s * (b * c - a * d),
    s * (b * d + a * c),
    s * (b * c + a * d),
    1 - s * (b * b + d * d),
    s * (c * d - a * b),
    s * (b * d - a * c),
    s * (c * d + a * b),
    1 - s * (b * b + c * c),
  ];
}

/** Unit quaternion with a >= 0 of a rotation, from its largest component (Shepperd 1978). */
function quaternionOf(r: readonly number[]): [number, number, number, number] {
  const squares = [1 + r[0] + r[4] + r[8], 1 + r[0] - r[4] - r[8], 1 - r[0] + r[4] - r[8], 1 - r[0] - r[4] + r[8]];
  const largest = squares.indexOf(Math.max(...squares));
  const rows = [
    [squares[0], r[7] - r[5], r[2] - r[6], r[3] - r[1]],
    [r[7] - r[5], squares[1], r[1] + r[3], r[2] + r[6]],
    [r[2] - r[6], r[1] + r[3], squares[2], r[5] + r[7]],
    [r[3] - r[1], r[2] + r[6], r[5] + r[7], squares[3]],
  ];
  const q = rows[largest];
  const scale = (q[0] < 0 ? -1 : 1) / Math.sqrt(q[0] ** 2 + q[1] ** 2 + q[2] ** 2 + q[3] ** 2);
  return [q[0] * scale, q[1] * scale, q[2] * scale, q[3] * scale];
}

/** pixdim[1..3] of the axes that exist; 0 becomes 1 and a sign is dropped, as nibabel repairs them. */
export function voxelSizes(fields: NiftiFields, warnings?: string[]): [number, number, number] {
  const sizes = [1, 2, 3].map((axis) => {
    const stored = axis <= fields.dim[0] ? fields.pixdim[axis] : 1;
    if (!(stored <= 0)) return stored;
    const used = stored === 0 ? 1 : -stored;
    warnings?.push(`voxel size ${stored} (pixdim[${axis}]) is not positive; ${used} is used`);
    return used;
  });
  return sizes as [number, number, number];
}
