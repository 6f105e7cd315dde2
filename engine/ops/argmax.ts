import { argmaxKernel } from '../../shaders/argmax.wgsl.ts';
import type { Recording } from '../recording.ts';
import { channels, rows, type Tensor } from '../tensor.ts';

/**
 * The most probable class of each row and its probability, by softmax where the values are logits, both dense: values [..., C] ->
 * labels u32 [...] and confidence f32 [...]. Among equal values the lowest class wins. Backward: none, labels have no derivative.
 */
export function argmax(
  rec: Recording,
  values: Tensor,
  kind: 'logits' | 'probabilities' = 'logits',
): { labels: Tensor; confidence: Tensor } {
  const shape = values.shape.slice(0, -1);
  const labels = rec.tensor(shape, 'labels', { dtype: 'u32', dense: true });
  const confidence = rec.tensor(shape, 'confidence', { dense: true });
  const kernel = argmaxKernel(channels(values), kind === 'probabilities');
  rec.dispatch(kernel, { values, labels, confidence }, { rows: rows(values) }, rows(values));
  return { labels, confidence };
}
