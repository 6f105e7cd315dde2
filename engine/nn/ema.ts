import { emaKernel } from '../../shaders/ema.wgsl.ts';
import type { Recording } from '../recording.ts';
import type { ScalarSlots } from '../step_scalars.ts';
import { vec4s } from '../tensor.ts';
import { Parameters } from './parameters.ts';

/** A teacher to begin with, or a snapshot: parameters of the same declaration and values, without gradients. The caller frees it. */
export async function frozenCopy(student: Parameters): Promise<Parameters> {
  const copy = Parameters.create(student.device, student.specs, { trainable: false });
  await copy.copyFrom(student);
  return copy;
}

/**
 * teacher = decay teacher + (1 - decay) student over all parameters, decay from step scalar `ema_decay` (Tarvainen and
 * Valpola, "Mean Teacher", 2017). Running statistics are left to the teacher's own passes. Errors: ActionError when the two
 * declare different parameters.
 */
export function emaUpdate(
  rec: Recording,
  teacher: Parameters,
  student: Parameters,
  scalars: ScalarSlots<'ema_decay'>,
): void {
  teacher.assertSameSpecs(student, 'emaUpdate');
  const count = vec4s(teacher.flat);
  rec.dispatch(
    emaKernel(),
    { scalars: scalars.tensor, student: student.flat, teacher: teacher.flat },
    { count, decay_slot: scalars.index('ema_decay') },
    count,
  );
}
