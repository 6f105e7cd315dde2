import { type Dense, zeros } from './dense.ts';

/** y[index[i]] += x[i] into `rows` rows of zeros; repeated indices add up. torch.index_add. The gradient is gather(dy, index). */
export function scatter(x: Dense, index: ArrayLike<number>, rows: number): Dense {
  const cols = x.shape[1];
  const y = zeros([rows, cols]);
  for (let i = 0; i < index.length; i++)
    for (let c = 0; c < cols; c++) y.data[index[i] * cols + c] += x.data[i * cols + c];
  return y;
}
