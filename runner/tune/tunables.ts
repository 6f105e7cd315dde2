/** What can be tuned: the engine's choices, each with what it takes to try its ways on problems made up for it. */
import { CONV3D, CONV3D_GRAD_WEIGHT } from '../../engine/ops/conv3d_ways.ts';
import { type Convolution, taps, type WeightGradient } from '../../engine/ops/convolution.ts';
import { rows, type Tensor } from '../../engine/tensor.ts';
import type { Choice } from '../../engine/ways.ts';

export interface Tunable<Problem = unknown> {
  readonly choice: Choice<Problem>;
  /** What the ways write; every other tensor of a problem is read. */
  output(problem: Problem): Tensor;
  /** Length of the sums behind one result. */
  terms(problem: Problem): number;
  /** As tables show it. */
  text(problem: Problem): string;
}

const arrow = (from: readonly number[], to: number, kernel: readonly number[]) =>
  `${from.join('x')} -> ${to}, kernel ${kernel.join('x')}`;

const conv3d: Tunable<Convolution> = {
  choice: CONV3D,
  output: ({ y }) => y,
  terms: (problem) => taps(problem) * problem.x.shape[4],
  text: ({ x, y, kernel, flip }) => `${arrow(x.shape, y.shape[4], kernel)}${flip ? ', gradient' : ''}`,
};

const conv3dGradWeight: Tunable<WeightGradient> = {
  choice: CONV3D_GRAD_WEIGHT,
  output: ({ dw }) => dw,
  terms: ({ dy }) => rows(dy),
  text: ({ x, dy, kernel }) => arrow(x.shape, dy.shape[4], kernel),
};

export const TUNABLES: readonly Tunable[] = [conv3d, conv3dGradWeight];
