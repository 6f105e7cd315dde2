import { emaUpdate, frozenCopy } from '../nn/ema.ts';
import type { Parameters } from '../nn/parameters.ts';
import type { Recording } from '../recording.ts';
import type { ScalarSlots } from '../step_scalars.ts';

/** What stage 1's teacher follows: the network and the projectors. Predictors have no teacher. */
export interface Followed {
  readonly network: Parameters;
  readonly projectors: Parameters;
}

/**
 * The teacher of a student: equal values at first, no gradients (Tarvainen and Valpola 2017; method.md 1). It owns what it
 * returns: destroyTeacher.
 */
export async function createTeacher({ network, projectors }: Followed): Promise<Followed> {
  return { network: await frozenCopy(network), projectors: await frozenCopy(projectors) };
}

/** Appends xi = m xi + (1 - m) theta over network and projectors, m from step scalar `ema_decay`. */
export function updateTeacher(
  rec: Recording,
  teacher: Followed,
  student: Followed,
  scalars: ScalarSlots<'ema_decay'>,
): void {
  emaUpdate(rec, teacher.network, student.network, scalars);
  emaUpdate(rec, teacher.projectors, student.projectors, scalars);
}

export function destroyTeacher({ network, projectors }: Followed): void {
  network.destroy();
  projectors.destroy();
}
