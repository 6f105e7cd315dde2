import { type Dense, zeros } from './dense.ts';

/** y = x where x > 0, slope x elsewhere. torch.nn.functional.leaky_relu. */
export function leakyRelu(x: Dense, slope = 0.01): Dense {
  const y = zeros(x.shape);
  for (let i = 0; i < x.data.length; i++) y.data[i] = x.data[i] > 0 ? x.data[i] : slope * x.data[i];
  return y;
}

export function leakyReluGrad(x: Dense, dy: Dense, slope = 0.01): Dense {
  const dx = zeros(x.shape);
  for (let i = 0; i < x.data.length; i++) dx.data[i] = x.data[i] > 0 ? dy.data[i] : slope * dy.data[i];
  return dx;
}
