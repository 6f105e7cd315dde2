import type { MatrixUnit } from '../../engine/matrix_unit.ts';
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
