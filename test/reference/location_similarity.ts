import { type Dense, zeros } from './dense.ts';

/** y[b, n, k] = sum over d of query[b, n, d] bank[k, n, d]. torch.einsum('bnd,knd->bnk', query, bank). */
export function locationSimilarity(query: Dense, bank: Dense): Dense {
  const [samples, locations, length] = query.shape;
  const [keys] = bank.shape;
  const y = zeros([samples, locations, keys]);
  for (let b = 0; b < samples; b++)
    for (let n = 0; n < locations; n++)
      for (let k = 0; k < keys; k++)
        for (let d = 0; d < length; d++)
          y.data[(b * locations + n) * keys + k] +=
            query.data[(b * locations + n) * length + d] * bank.data[(k * locations + n) * length + d];
  return y;
}

/** dquery[b, n, d] = sum over k of dy[b, n, k] bank[k, n, d]. The bank takes no gradient. */
export function locationSimilarityGrad(dy: Dense, bank: Dense): Dense {
  const [samples, locations, keys] = dy.shape;
  const length = bank.shape[2];
  const dquery = zeros([samples, locations, length]);
  for (let b = 0; b < samples; b++)
    for (let n = 0; n < locations; n++)
      for (let k = 0; k < keys; k++)
        for (let d = 0; d < length; d++)
          dquery.data[(b * locations + n) * length + d] +=
            dy.data[(b * locations + n) * keys + k] * bank.data[(k * locations + n) * length + d];
  return dquery;
}
