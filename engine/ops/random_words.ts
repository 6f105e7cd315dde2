import { randomWordsKernel } from '../../shaders/random_words.wgsl.ts';
import type { Recording } from '../recording.ts';
import { ceilDiv, product } from '../shape.ts';
import type { Tensor } from '../tensor.ts';

/**
 * Uniform 32-bit words, drawn anew at every replay: dense u32 of `shape`, word i a function of (seed, step, stream, i)
 * alone. What samplers and mixes take their draws from, so that a test can hand them others.
 *
 * @param counters dense u32 [seed, step] (createStepCounters)
 * @param stream a number no other random op of the step uses
 */
export function randomWords(rec: Recording, counters: Tensor, stream: number, shape: readonly number[]): Tensor {
  const words = rec.tensor(shape, 'random_words', { dtype: 'u32', dense: true });
  const count = product(shape);
  rec.dispatch(randomWordsKernel(), { counters, y: words }, { count, stream }, ceilDiv(count, 4));
  return words;
}
