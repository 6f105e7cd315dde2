import { argmaxKernel } from '../../shaders/argmax.wgsl.ts';
import type { Recording } from '../recording.ts';
import { channels, rows, type Tensor } from '../tensor.ts';

/**
 * The most probable class of each row and its softmax probability, both dense: logits [..., C] -> labels u32 [...] and
 * confidence f32 [...]. Among equal logits the lowest class wins. Backward: none, labels have no derivative.
 */
export function argmax(rec: Recording, logits: Tensor): { labels: Tensor; confidence: Tensor } {
  const shape = logits.shape.slice(0, -1);
  const labels = rec.tensor(shape, 'labels', { dtype: 'u32', dense: true });
  const confidence = rec.tensor(shape, 'confidence', { dense: true });
  rec.dispatch(argmaxKernel(channels(logits)), { logits, labels, confidence }, { rows: rows(logits) }, rows(logits));
  return { labels, confidence };
}
