import { locationSimilarityGradKernel, locationSimilarityKernel } from '../../shaders/location_similarity.wgsl.ts';
import { ShapeError } from '../errors.ts';
import type { Recording } from '../recording.ts';
import { formatShape, sameShape } from '../shape.ts';
import { type Tensor, vec4s } from '../tensor.ts';

/**
 * Dot products of every query with the keys of its own location: query [B, N, D], bank [K, N, D] -> [B, N, K]. One location
 * (N = 1) compares whole volumes. torch.einsum('bnd,knd->bnk'). Gradient to the query only.
 */
export function locationSimilarity(rec: Recording, query: Tensor, bank: Tensor): Tensor {
  const [samples, locations, length] = query.shape;
  if (query.shape.length !== 3 || bank.shape.length !== 3 || !sameShape(bank.shape.slice(1), [locations, length])) {
    throw new ShapeError(
      `locationSimilarity: query '${query.label}' ${formatShape(query.shape)} and bank '${bank.label}' ${formatShape(bank.shape)} must be [B, N, D] and [K, N, D] of one N and D`,
    );
  }
  const keys = bank.shape[0];
  const y = rec.tensor([samples, locations, keys], 'location_similarity');
  const params = { locations, keys, pitch: query.pitch / 4, y_pitch: y.pitch / 4 };
  rec.dispatch(locationSimilarityKernel(), { query, bank, y }, { count: vec4s(y), ...params }, vec4s(y));
  return rec.node('location_similarity', [query], y, (dy, gradients) => {
    const dquery = gradients.out(0);
    if (!dquery) return;
    const count = vec4s(dquery);
    rec.dispatch(locationSimilarityGradKernel(), { dy, bank, dquery }, { count, ...params }, count);
  });
}
