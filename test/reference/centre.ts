import { type Dense, zeros } from './dense.ts';

/** y[r] = x[r] - sums / max(n, 1), x [R, ...], sums of a row's elements. The mean is a constant: dx = dy. */
export function centre(x: Dense, sums: Dense, n: number): Dense {
  const y = zeros(x.shape);
  for (let i = 0; i < x.data.length; i++) y.data[i] = x.data[i] - sums.data[i % sums.data.length] / Math.max(n, 1);
  return y;
}
