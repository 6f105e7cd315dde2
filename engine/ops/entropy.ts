import { entropyKernel } from '../../shaders/entropy.wgsl.ts';
import type { Recording } from '../recording.ts';
import { channels, rows, type Tensor } from '../tensor.ts';

/**
 * Entropy of each row in nats: probabilities [..., C] -> dense f32 [...], -sum over classes of p log p, from 0 (certain) to
 * ln C (uniform). Backward: none; it is asked of a teacher.
 */
export function entropy(rec: Recording, probabilities: Tensor): Tensor {
  const y = rec.tensor(probabilities.shape.slice(0, -1), 'entropy', { dense: true });
  const count = rows(probabilities);
  rec.dispatch(entropyKernel(channels(probabilities)), { x: probabilities, y }, { rows: count }, count);
  return y;
}
