import { type Dense, zeros } from './dense.ts';

export type MatmulOptions = { transposeA?: boolean; transposeB?: boolean };

/** y = op(a) op(b), op(m) = m or its transpose; a stored [m,k] ([k,m] when transposed), b [k,n] ([n,k] when transposed). */
export function matmul(a: Dense, b: Dense, { transposeA = false, transposeB = false }: MatmulOptions = {}): Dense {
  const [m, k] = transposeA ? [a.shape[1], a.shape[0]] : a.shape;
  const n = transposeB ? b.shape[0] : b.shape[1];
  const y = zeros([m, n]);
  for (let i = 0; i < m; i++)
    for (let j = 0; j < n; j++)
      for (let l = 0; l < k; l++)
        y.data[i * n + j] += a.data[transposeA ? l * m + i : i * k + l] * b.data[transposeB ? j * k + l : l * n + j];
  return y;
}

/** d op(a) = dy op(b)^T, d op(b) = op(a)^T dy; a transposed operand takes the transpose of that. */
export function matmulGrad(
  a: Dense,
  b: Dense,
  dy: Dense,
  { transposeA = false, transposeB = false }: MatmulOptions = {},
): { da: Dense; db: Dense } {
  const da = transposeA
    ? matmul(b, dy, { transposeA: transposeB, transposeB: true })
    : matmul(dy, b, { transposeB: !transposeB });
  const db = transposeB
    ? matmul(dy, a, { transposeA: true, transposeB: transposeA })
    : matmul(a, dy, { transposeA: !transposeA });
  return { da, db };
}
