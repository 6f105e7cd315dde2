import { type Dense, rowsOf, zeros } from './dense.ts';

/** Channels from..to-1 of the last axis: x[..., from:to]. */
export function slice(x: Dense, from: number, to: number): Dense {
  const [rows, width] = rowsOf(x);
  const y = zeros([...x.shape.slice(0, -1), to - from]);
  for (let r = 0; r < rows; r++)
    for (let c = from; c < to; c++) y.data[r * (to - from) + c - from] = x.data[r * width + c];
  return y;
}

/** dy in its channels of an otherwise zero tensor of the input's shape. */
export function sliceGrad(dy: Dense, inputShape: readonly number[], from: number): Dense {
  const dx = zeros(inputShape);
  const [rows, width] = rowsOf(dx);
  const [, part] = rowsOf(dy);
  for (let r = 0; r < rows; r++) for (let c = 0; c < part; c++) dx.data[r * width + from + c] = dy.data[r * part + c];
  return dx;
}
