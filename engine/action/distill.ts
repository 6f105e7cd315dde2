import { centre } from '../ops/centre.ts';
import { klDivergence } from '../ops/kl_divergence.ts';
import { l2Normalize } from '../ops/l2_normalize.ts';
import { locationSimilarity } from '../ops/location_similarity.ts';
import { meanCosine } from '../ops/mean_cosine.ts';
import type { Recording } from '../recording.ts';
import type { ScalarSlots } from '../step_scalars.ts';
import type { Tensor } from '../tensor.ts';
import { type BankScalar, bankSums, type MemoryBank } from './bank.ts';
import type { DistillationOptions } from './options.ts';

export interface Distilled {
  /** [1] */
  readonly loss: Tensor;
  /** [1]: mean cosine between the keys of different samples, as the loss sees them (centred); above COLLAPSED they carry nothing. */
  readonly cosine: Tensor;
}

/** Mean cosine between different keys above which they tell nothing apart (method.md 12.9); chosen. */
export const COLLAPSED = 0.98;

/**
 * Relational distillation (method.md 2.4, 3; You et al. 2023, after ISD, Tejankar et al. 2021): the mean over samples and
 * locations of KL(P_t || P_s), P = softmax over the bank of cosine / temperature, location by location. Queries and keys
 * [B, N, D]; N = 1 is the global loss. Gradient to the queries only. Reads the bank as it was before this batch's keys.
 */
export function distillationLoss(
  rec: Recording,
  queries: Tensor,
  keys: Tensor,
  bank: MemoryBank,
  options: Pick<DistillationOptions, 'centre' | 'tauS' | 'tauT'>,
  scalars: ScalarSlots<BankScalar>,
): Distilled {
  const sums = options.centre ? bankSums(rec, bank) : undefined;
  const filled = scalars.index(`${bank.name}_filled`);
  const unit = (x: Tensor) => l2Normalize(rec, sums ? centre(rec, x, sums, scalars.tensor, filled) : x);
  const own = unit(rec.detach(keys));
  const others = unit(bank.rows);
  const student = locationSimilarity(rec, unit(queries), others);
  const teacher = locationSimilarity(rec, own, others);
  const loss = klDivergence(rec, student, teacher, {
    studentTemperature: options.tauS,
    teacherTemperature: options.tauT,
  });
  return { loss, cosine: meanCosine(rec, own) };
}
