import type { MatrixUnit } from '../../engine/matrix_unit.ts';
import type { Triple } from '../../engine/shape.ts';
import { wgsl } from './wgsl.ts';

/** What a kernel begins with that multiplies on matrix units: types Left [m, k] and Right [k, n] of float16, Sums [m, n]. */
export const matrixTypes = ({ m, n, k }: MatrixUnit): string => wgsl`
enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
alias Left = subgroup_matrix_left<f16, ${k}, ${m}>;
alias Right = subgroup_matrix_right<f16, ${n}, ${k}>;
alias Sums = subgroup_matrix_result<f32, ${n}, ${m}>;
`;

/** The axis that a matrix's voxels lie along, and the two others in their order; 0 z, 1 y, 2 x. */
export interface Axes {
  readonly run: number;
  readonly others: readonly [number, number];
}

export const axesOf = (run: number): Axes => {
  const [a, b] = [0, 1, 2].filter((axis) => axis !== run);
  return { run, others: [a, b] };
};

/** The triple [z, y, x] of a number along the row and two across it. */
export function tripleOf({ run, others: [first, second] }: Axes, along: number, across: readonly number[]): Triple {
  const values: [number, number, number] = [0, 0, 0];
  values[run] = along;
  [values[first], values[second]] = across;
  return values;
}

/** A box with the halo that the taps reach over it. */
export const withHalo = (box: Triple, kernel: Triple) =>
  box.map((n, axis) => n + kernel[axis] - 1) as unknown as Triple;

/** From one voxel of a box in workgroup memory to the next along z, y, x, the row being the innermost; `pitch` a voxel. */
export const stepsIn = (box: Triple, axes: Axes, pitch: number): Triple => {
  const row = box[axes.run] * pitch;
  return tripleOf(axes, pitch, [box[axes.others[1]] * row, row]);
};

/** A kernel's taps across the row; those along it are another matter of each shader. */
export const tapsAcross = (kernel: Triple, { others: [first, second] }: Axes) =>
  Array.from({ length: kernel[first] }, (_, a) => Array.from({ length: kernel[second] }, (_, b) => ({ a, b }))).flat();

/** From one tap of a kernel [kz, ky, kx] to the next along z, y, x. */
export const tapSteps = ([, ky, kx]: Triple): Triple => [ky * kx, kx, 1];
