import { type Dense, rowsOf, zeros } from './dense.ts';

/** -sum over the row of p log p, 0 log 0 = 0. torch.distributions.Categorical(probs=p).entropy(). */
export function entropy(p: Dense): Dense {
  const [rows, width] = rowsOf(p);
  const y = zeros(p.shape.slice(0, -1));
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < width; c++) {
      const v = p.data[r * width + c];
      if (v > 0) y.data[r] -= v * Math.log(v);
    }
  return y;
}
