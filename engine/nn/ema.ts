import { emaKernel } from '../../shaders/ema.wgsl.ts';
import type { Recording } from '../recording.ts';
import type { ScalarSlots } from '../step_scalars.ts';
import { vec4s } from '../tensor.ts';
import type { Parameters } from './parameters.ts';

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
