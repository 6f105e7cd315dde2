import { type Dense, rowsOf, zeros } from './dense.ts';
import { softmax, softmaxGrad } from './softmax.ts';

/** sum m (softmax(a) - q)^2 / (2 sum m + 1e-16), m = uncertainty < threshold row by row, and the share of m: UA-MT's consistency. */
export function maskedSoftmaxMse(a: Dense, q: Dense, uncertainty: Dense, threshold: number): [number, number] {
  const p = softmax(a);
  const [rows, width] = rowsOf(p);
  let [sum, count] = [0, 0];
  for (let r = 0; r < rows; r++) {
    if (uncertainty.data[r] >= threshold) continue;
    count++;
    for (let c = r * width; c < (r + 1) * width; c++) sum += (p.data[c] - q.data[c]) ** 2;
  }
  return [sum / (2 * count + 1e-16), count / rows];
}

/** d / d a. q and the uncertainty take no gradient. */
export function maskedSoftmaxMseGrad(a: Dense, q: Dense, uncertainty: Dense, threshold: number): Dense {
  const p = softmax(a);
  const [rows, width] = rowsOf(p);
  const count = uncertainty.data.filter((u) => u < threshold).length;
  const dp = zeros(p.shape);
  for (let r = 0; r < rows; r++) {
    if (uncertainty.data[r] >= threshold) continue;
    for (let c = r * width; c < (r + 1) * width; c++) dp.data[c] = (2 * (p.data[c] - q.data[c])) / (2 * count + 1e-16);
  }
  return softmaxGrad(p, dp);
}
