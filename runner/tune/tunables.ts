/** What can be tuned: the engine's choices, each with what it takes to try its ways on problems made up for it. */
import { CONV3D, CONV3D_GRAD_WEIGHT } from '../../engine/ops/conv3d_ways.ts';
import { type Convolution, type Geometry, taps, type WeightGradient } from '../../engine/ops/convolution.ts';
import { product } from '../../engine/shape.ts';
import { rows, type Tensor } from '../../engine/tensor.ts';
import type { Choice } from '../../engine/ways.ts';

export interface Tunable<Problem = unknown> {
  readonly choice: Choice<Problem>;
  /** What the ways write; every other tensor of a problem is read. */
  output(problem: Problem): Tensor;
  /** Length of the sums behind one result. */
  terms(problem: Problem): number;
  /** Whether ways may round the factors of products to float16. */
  rounds(problem: Problem): boolean;
  /** Problems of one group and about one size rank their ways about alike. */
  likeness(problem: Problem): { readonly group: string; readonly size: number };
  /** As tables show it. */
  text(problem: Problem): string;
}

const arrow = ({ shape, dtype }: Tensor, to: number, kernel: readonly number[]) =>
  `${shape.join('x')} -> ${to}, kernel ${kernel.join('x')}${dtype === 'f32' ? '' : `, ${dtype}`}`;

const alike = ({ kernel, stride, products, x }: Geometry & { x: Tensor }, { shape }: Tensor) => ({
  group: `${kernel.join('x')} ${stride.join('x')} ${x.dtype} ${products}`,
  size: product(shape),
});

/** Channels that are summed over, of all tensors that are read. */
const inputs = ({ w, transpose }: Convolution): number => w.shape[transpose ? 4 : 3];

const conv3d: Tunable<Convolution> = {
  choice: CONV3D,
  output: ({ y }) => y,
  terms: (problem) => taps(problem) * inputs(problem),
  rounds: ({ products }) => products === 'f16',
  likeness: (problem) => alike(problem, problem.y),
  text: (problem) => {
    const { x, y, kernel, flip } = problem;
    const input = { ...x, shape: [...x.shape.slice(0, -1), inputs(problem)] };
    return `${arrow(input, y.shape[4], kernel)}${flip ? ', gradient' : ''}`;
  },
};

const conv3dGradWeight: Tunable<WeightGradient> = {
  choice: CONV3D_GRAD_WEIGHT,
  output: ({ dw }) => dw,
  terms: ({ dy }) => rows(dy),
  rounds: ({ products }) => products === 'f16',
  likeness: (problem) => alike(problem, problem.dy),
  text: ({ x, dy, kernel }) => arrow(x, dy.shape[4], kernel),
};

export const TUNABLES: readonly Tunable[] = [conv3d, conv3dGradWeight];
