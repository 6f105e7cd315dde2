import { type Dense, zeros } from './dense.ts';

/** y = factor x; dx = scale(dy, factor). */
export function scale(x: Dense, factor: number): Dense {
  const y = zeros(x.shape);
  for (let i = 0; i < y.data.length; i++) y.data[i] = factor * x.data[i];
  return y;
}
