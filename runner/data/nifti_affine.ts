import { DataError } from '../../engine/errors.ts';
import type { NiftiFields } from './nifti_header.ts';
import { qform, voxelSizes } from './nifti_qform.ts';
import { canonicalAxes, columnNorm, orientationCode } from './orientation.ts';
import { cornerDistance } from './volume.ts';

/**
 * The affine of a NIfTI file by nibabel's rules: the sform where its code is positive, else the qform where its code
 * is, else the voxel sizes around a centred origin with x running to the left. Affines are 4x4, row-major.
 */

export type AffineSource = 'sform' | 'qform' | 'pixdim';

export interface ChosenAffine {
  readonly affine: readonly number[];
  readonly from: AffineSource;
  /** NIfTI xform code: 0 unknown, 1 scanner, 2 aligned, 3 Talairach, 4 MNI, 5 template. */
  readonly code: number;
}

type Triple = readonly [number, number, number];

/** Picks and computes the affine; appends to `warnings`. Throws DataError where the chosen one is unusable. */
export function chooseAffine(fields: NiftiFields, dim: Triple, name: string, warnings: string[]): ChosenAffine {
  const sformCode = validCode('sform', fields.sformCode, warnings);
  const qformCode = validCode('qform', fields.qformCode, warnings);
  if (sformCode > 0) {
    const affine = [...fields.srow, 0, 0, 0, 1];
    requireInvertible(affine, 'sform', name);
    if (qformCode > 0) compareForms(affine, qform(fields), dim, warnings);
    else compareSpacing(affine, fields, dim, warnings);
    warnUnits(fields, warnings);
    return { affine, from: 'sform', code: sformCode };
  }
  const sizes = voxelSizes(fields, warnings);
  warnUnits(fields, warnings);
  if (qformCode > 0) {
    const affine = qform(fields);
    if (!affine) {
      throw new DataError(
        `${name} has a damaged qform: its quaternion (${fields.quatern.join(', ')}) is longer than 1; set its orientation again, e.g. by copying the header of the original image`,
      );
    }
    requireInvertible(affine, 'qform', name);
    return { affine, from: 'qform', code: qformCode };
  }
  warnings.push('neither qform nor sform is set; the orientation is guessed as nibabel does (x to the left, centred)');
  const affine = centred(sizes, dim);
  requireInvertible(affine, 'pixdim', name);
  return { affine, from: 'pixdim', code: 0 };
}

function validCode(form: string, code: number, warnings: string[]): number {
  if (code >= 0 && code <= 5) return code;
  warnings.push(`${form}_code ${code} does not exist (0 to 5 do); the ${form} is ignored`);
  return 0;
}

function centred(sizes: Triple, dim: Triple): number[] {
  const [dx, dy, dz] = sizes;
  const at = (axis: 0 | 1 | 2) => (sizes[axis] * (dim[axis] - 1)) / 2;
  return [-dx, 0, 0, at(0), 0, dy, 0, 0 - at(1), 0, 0, dz, 0 - at(2), 0, 0, 0, 1];
}

function requireInvertible(affine: readonly number[], from: AffineSource, name: string): void {
  if (affine.every(Number.isFinite) && canonicalAxes(affine)) return;
  const rows = [0, 4, 8].map((row) => affine.slice(row, row + 4).join(' ')).join('; ');
  const other = from === 'sform' ? 'set sform_code to 0 to use the qform, or ' : '';
  throw new DataError(
    `${name} has an unusable affine: its ${from} [${rows}] maps the voxels to no volume; ${other}copy the header of the original image`,
  );
}

function compareForms(
  sform: readonly number[],
  qformAffine: readonly number[] | undefined,
  dim: Triple,
  warnings: string[],
): void {
  if (!qformAffine?.every(Number.isFinite)) {
    warnings.push('the qform is damaged; using the sform');
    return;
  }
  const distance = cornerDistance(sform, qformAffine, dim);
  const [axesS, axesQ] = [canonicalAxes(sform), canonicalAxes(qformAffine)];
  const [s, q] = [axesS && orientationCode(axesS), axesQ && orientationCode(axesQ)];
  if (s !== q) {
    warnings.push(
      `sform (${s}) and qform (${q ?? 'singular'}) disagree about the axes; using the sform, as nibabel does`,
    );
  } else if (distance > 0.1) {
    warnings.push(`qform and sform differ by ${distance.toPrecision(2)} mm; using the sform, as nibabel does`);
  }
}

function compareSpacing(affine: readonly number[], fields: NiftiFields, dim: Triple, warnings: string[]): void {
  const sizes = voxelSizes(fields);
  const worst = [0, 1, 2].find(
    (axis) => dim[axis] > 1 && !(Math.abs(columnNorm(affine, axis) / sizes[axis] - 1) < 0.01),
  );
  if (worst === undefined) return;
  warnings.push(
    `pixdim[${worst + 1}] is ${sizes[worst]} but the sform has voxels of ${columnNorm(affine, worst).toPrecision(4)} mm; using the sform`,
  );
}

function warnUnits(fields: NiftiFields, warnings: string[]): void {
  const unit = { 1: 'metres', 3: 'micrometres' }[fields.units & 7];
  if (unit) warnings.push(`the header gives lengths in ${unit}; the numbers are taken as millimetres, as nibabel does`);
}
