import { type Dense, zeros } from './dense.ts';

/** y = x mask / (1 - p), mask 1 where kept and 0 where dropped; dx = dropout(dy, mask, p). */
export function dropout(x: Dense, mask: ArrayLike<number>, p: number): Dense {
  const y = zeros(x.shape);
  for (let i = 0; i < x.data.length; i++) y.data[i] = (x.data[i] * mask[i]) / (1 - p);
  return y;
}
