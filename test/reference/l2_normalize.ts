import { type Dense, rowsOf, zeros } from './dense.ts';

function norms(x: Dense): Float64Array {
  const [rows, width] = rowsOf(x);
  const norm = new Float64Array(rows);
  for (let i = 0; i < x.data.length; i++) norm[Math.floor(i / width)] += x.data[i] ** 2;
  return norm.map(Math.sqrt);
}

/** y = x / max(|x|, epsilon), |x| over the last axis. torch.nn.functional.normalize(x, dim=-1, eps=epsilon). */
export function l2Normalize(x: Dense, epsilon = 1e-12): Dense {
  const [, width] = rowsOf(x);
  const norm = norms(x);
  const y = zeros(x.shape);
  for (let i = 0; i < x.data.length; i++) y.data[i] = x.data[i] / Math.max(norm[Math.floor(i / width)], epsilon);
  return y;
}

/** dx = (dy - y (y . dy)) / |x|; dy / epsilon where |x| < epsilon. */
export function l2NormalizeGrad(x: Dense, dy: Dense, epsilon = 1e-12): Dense {
  const [rows, width] = rowsOf(x);
  const norm = norms(x);
  const y = l2Normalize(x, epsilon);
  const dx = zeros(x.shape);
  for (let r = 0; r < rows; r++) {
    let dot = 0;
    for (let c = 0; c < width; c++) dot += y.data[r * width + c] * dy.data[r * width + c];
    for (let i = r * width; i < (r + 1) * width; i++)
      dx.data[i] = norm[r] < epsilon ? dy.data[i] / epsilon : (dy.data[i] - y.data[i] * dot) / norm[r];
  }
  return dx;
}
