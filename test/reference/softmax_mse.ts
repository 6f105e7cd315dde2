import { type Dense, zeros } from './dense.ts';
import { softmax, softmaxGrad } from './softmax.ts';

/** Mean over every element of (softmax(a) - softmax(b))^2, softmax along the last axis: Mean Teacher's consistency. */
export function softmaxMse(a: Dense, b: Dense): number {
  const [p, q] = [softmax(a), softmax(b)];
  let sum = 0;
  for (let i = 0; i < p.data.length; i++) sum += (p.data[i] - q.data[i]) ** 2;
  return sum / p.data.length;
}

/** d / d a: 2 (p - q) / count through the softmax of a. b takes no gradient. */
export function softmaxMseGrad(a: Dense, b: Dense): Dense {
  const [p, q] = [softmax(a), softmax(b)];
  const dp = zeros(p.shape);
  for (let i = 0; i < dp.data.length; i++) dp.data[i] = (2 * (p.data[i] - q.data[i])) / dp.data.length;
  return softmaxGrad(p, dp);
}
