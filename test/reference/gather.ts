import { type Dense, zeros } from './dense.ts';

/** y[i] = x[index[i]], rows of [rows, cols]. The gradient is scatter(dy, index, rows). */
export function gather(x: Dense, index: ArrayLike<number>): Dense {
  const cols = x.shape[1];
  const y = zeros([index.length, cols]);
  for (let i = 0; i < index.length; i++)
    for (let c = 0; c < cols; c++) y.data[i * cols + c] = x.data[index[i] * cols + c];
  return y;
}
