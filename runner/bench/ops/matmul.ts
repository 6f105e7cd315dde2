import { matmul } from '../../../engine/ops/matmul.ts';
import { differentiable, type KernelOp, noiseInput } from '../case.ts';
import { places, type Sampled, sampleCount } from '../samples.ts';

/** [M, K] x [K, N]. */
export const matmulOp: KernelOp = (device, { input, out }) => {
  const [m, k] = input;
  const n = out as number;
  const [a, b] = [noiseInput('a', input, 1), noiseInput('b', [k, n], 2)];
  const flops = 2 * m * n * k;

  /** The sum over `terms` of left(row, t) right(t, column) at some places of [rows, columns]. */
  function sums(
    [rows, terms, columns]: readonly [number, number, number],
    left: (row: number, t: number) => number,
    right: (t: number, column: number) => number,
  ): Sampled {
    const at = places(rows * columns, sampleCount(terms));
    const expected = at.map((place) => {
      let sum = 0;
      for (let t = 0; t < terms; t++) sum += left(Math.floor(place / columns), t) * right(t, place % columns);
      return sum;
    });
    return { at, expected, terms };
  }

  const atA = (i: number, t: number) => a.data[i * k + t];
  const atB = (t: number, j: number) => b.data[t * n + j];
  return differentiable(device, {
    ...{ inputs: [a, b], output: [m, n], flops },
    record: (rec, [s, t]) => matmul(rec, s, t),
    gradients: [
      { name: 'grad left', leaves: [0], reads: [1], flops },
      { name: 'grad right', leaves: [1], reads: [0], flops },
    ],
    expected: {
      output: () => sums([m, k, n], atA, atB),
      gradient(i, dy) {
        const atDy = (row: number, column: number) => dy[row * n + column];
        if (i === 0) return sums([m, n, k], atDy, (t, column) => atB(column, t));
        return sums([k, m, n], (row, t) => atA(t, row), atDy);
      },
    },
  });
};
