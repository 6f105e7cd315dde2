import { type Dense, zeros } from './dense.ts';

/** y = a b element by element, equal shapes; da = mul(dy, b), db = mul(dy, a). */
export function mul(a: Dense, b: Dense): Dense {
  const y = zeros(a.shape);
  for (let i = 0; i < y.data.length; i++) y.data[i] = a.data[i] * b.data[i];
  return y;
}
