import { type Dense, zeros } from './dense.ts';

/** y = max(x, 0). */
export function relu(x: Dense): Dense {
  const y = zeros(x.shape);
  for (let i = 0; i < x.data.length; i++) y.data[i] = Math.max(x.data[i], 0);
  return y;
}

/** 0 at x = 0, as PyTorch. */
export function reluGrad(x: Dense, dy: Dense): Dense {
  const dx = zeros(x.shape);
  for (let i = 0; i < x.data.length; i++) dx.data[i] = x.data[i] > 0 ? dy.data[i] : 0;
  return dx;
}
