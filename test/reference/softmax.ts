import { type Dense, rowsOf, zeros } from './dense.ts';

/** log softmax along the last axis: x - max - log sum exp(x - max). torch.log_softmax(x, -1). */
export function logSoftmax(x: Dense): Dense {
  const y = zeros(x.shape);
  const [rows, width] = rowsOf(x);
  for (let r = 0; r < rows; r++) {
    let max = -Infinity;
    for (let c = 0; c < width; c++) max = Math.max(max, x.data[r * width + c]);
    let sum = 0;
    for (let c = 0; c < width; c++) sum += Math.exp(x.data[r * width + c] - max);
    for (let c = 0; c < width; c++) y.data[r * width + c] = x.data[r * width + c] - max - Math.log(sum);
  }
  return y;
}

/** Softmax along the last axis. torch.softmax(x, -1). */
export function softmax(x: Dense): Dense {
  const y = logSoftmax(x);
  y.data.forEach((v, i) => {
    y.data[i] = Math.exp(v);
  });
  return y;
}

/** dx = p (dy - sum over the row of p dy), from the output p. */
export function softmaxGrad(p: Dense, dy: Dense): Dense {
  const dx = zeros(p.shape);
  const [rows, width] = rowsOf(p);
  for (let r = 0; r < rows; r++) {
    let dot = 0;
    for (let c = 0; c < width; c++) dot += p.data[r * width + c] * dy.data[r * width + c];
    for (let c = 0; c < width; c++) dx.data[r * width + c] = p.data[r * width + c] * (dy.data[r * width + c] - dot);
  }
  return dx;
}

/** dx = dy - exp(y) sum over the row of dy, from the output y. */
export function logSoftmaxGrad(y: Dense, dy: Dense): Dense {
  const dx = zeros(y.shape);
  const [rows, width] = rowsOf(y);
  for (let r = 0; r < rows; r++) {
    let sum = 0;
    for (let c = 0; c < width; c++) sum += dy.data[r * width + c];
    for (let c = 0; c < width; c++)
      dx.data[r * width + c] = dy.data[r * width + c] - Math.exp(y.data[r * width + c]) * sum;
  }
  return dx;
}
