import { diceCrossEntropy } from '../../../engine/ops/soft_dice.ts';
import { product } from '../../../engine/shape.ts';
import { differentiable, type HostInput, type KernelOp, noiseInput } from '../case.ts';
import { noise, places, sampleCount } from '../samples.ts';

const EPSILON = 1e-5;

/** (cross-entropy + soft Dice with squared denominator) / 2 over logits [N, D, H, W, classes], as training has it. */
export const lossOp: KernelOp = (device, { input }) => {
  const classes = input[4];
  const rows = product(input.slice(0, 4));
  const logits = noiseInput('logits', input, 1);
  const classOf = Uint32Array.from(noise(rows, 2), (v) => Math.min(classes - 1, Math.floor(((v + 1) / 2) * classes)));
  const labels: HostInput = { label: 'labels', shape: input.slice(0, 4), data: classOf };

  /** log softmax of a row. */
  function logs(row: number): number[] {
    const values = Array.from({ length: classes }, (_, c) => logits.data[row * classes + c]);
    const log = Math.log(values.reduce((sum, value) => sum + Math.exp(value), 0));
    return values.map((value) => value - log);
  }

  let known: ReturnType<typeof sums> | undefined;
  const totals = () => {
    known ??= sums();
    return known;
  };

  function sums() {
    const intersection = new Float64Array(classes);
    const denominator = new Float64Array(classes);
    let ce = 0;
    for (let row = 0; row < rows; row++) {
      const log = logs(row);
      ce -= log[classOf[row]] / rows;
      for (let c = 0; c < classes; c++) {
        const [p, y] = [Math.exp(log[c]), classOf[row] === c ? 1 : 0];
        intersection[c] += p * y;
        denominator[c] += p * p + y;
      }
    }
    return { intersection, denominator, ce };
  }

  return differentiable(device, {
    ...{ inputs: [logits, labels], output: [1], flops: 0 },
    record: (rec, [a, b]) => diceCrossEntropy(rec, a, b).loss,
    gradients: [{ name: 'backward', leaves: [0], reads: [0, 1], flops: 0 }],
    expected: {
      output() {
        const { intersection, denominator, ce } = totals();
        const dice = intersection.reduce((sum, i, c) => sum + (2 * i + EPSILON) / (denominator[c] + EPSILON), 0);
        return { at: [0], expected: [(ce + 1 - dice / classes) / 2], terms: rows };
      },
      gradient(_, dy) {
        const { intersection, denominator } = totals();
        const at = places(product(input), sampleCount(classes));
        const expected = at.map((place) => {
          const row = Math.floor(place / classes);
          const p = logs(row).map(Math.exp);
          const hot = p.map((__, c) => (classOf[row] === c ? 1 : 0));
          const dp = p.map((q, c) => {
            const d = denominator[c] + EPSILON;
            return -(2 * hot[c] * d - (2 * intersection[c] + EPSILON) * 2 * q) / (d * d) / classes;
          });
          const mean = p.reduce((sum, q, c) => sum + q * dp[c], 0);
          const c = place % classes;
          return (dy[0] * ((p[c] - hot[c]) / rows + p[c] * (dp[c] - mean))) / 2;
        });
        return { at, expected, terms: rows };
      },
    },
  });
};
