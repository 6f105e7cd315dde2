import { meanCosineKernel } from '../../shaders/mean_cosine.wgsl.ts';
import { ShapeError } from '../errors.ts';
import type { Recording } from '../recording.ts';
import { formatShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { sumAllInto } from './reduce.ts';

/**
 * Mean cosine between different samples at the same location: unit vectors x [B, N, D] -> [1]; 1 says that all samples
 * look alike (collapse). 0 for a single sample. No gradient: it is for the log.
 */
export function meanCosine(rec: Recording, x: Tensor): Tensor {
  if (x.shape.length !== 3) {
    throw new ShapeError(`meanCosine: '${x.label}' must be [B, N, D], got ${formatShape(x.shape)}`);
  }
  const [samples, locations] = x.shape;
  const pairs = rec.tensor([locations, 1], 'mean_cosine_pairs');
  rec.dispatch(meanCosineKernel(), { x, y: pairs }, { samples, locations, pitch: x.pitch / 4 }, locations);
  const count = (samples * (samples - 1) * locations) / 2;
  return sumAllInto(rec, pairs, rec.tensor([1], 'mean_cosine'), count > 0 ? 1 / count : 0);
}
