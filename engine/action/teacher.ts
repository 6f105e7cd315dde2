import { emaUpdate } from '../nn/ema.ts';
import { Parameters } from '../nn/parameters.ts';
import type { Recording } from '../recording.ts';
import type { ScalarSlots } from '../step_scalars.ts';

/** What a teacher follows: the network, and the projectors where the stage has any. Predictors have no teacher. */
export interface Followed {
  readonly network: Parameters;
  readonly projectors?: Parameters;
}

/**
 * The teacher of a student: parameters of the same declaration, no gradients, equal values at first (Tarvainen and Valpola
 * 2017; method.md 1). It owns what it returns: destroyTeacher.
 */
export async function createTeacher({ network, projectors }: Followed): Promise<Followed> {
  const copyOf = async (student: Parameters) => {
    const teacher = Parameters.create(student.device, student.specs, { trainable: false });
    await teacher.copyFrom(student);
    return teacher;
  };
  return { network: await copyOf(network), ...(projectors && { projectors: await copyOf(projectors) }) };
}

/** Appends xi = m xi + (1 - m) theta over network and projectors, m from step scalar `ema_decay`. */
export function updateTeacher(
  rec: Recording,
  teacher: Followed,
  student: Followed,
  scalars: ScalarSlots<'ema_decay'>,
): void {
  emaUpdate(rec, teacher.network, student.network, scalars);
  if (teacher.projectors && student.projectors) emaUpdate(rec, teacher.projectors, student.projectors, scalars);
}

export function destroyTeacher({ network, projectors }: Followed): void {
  network.destroy();
  projectors?.destroy();
}
