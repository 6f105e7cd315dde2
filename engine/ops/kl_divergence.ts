import { klDivergenceGradKernel, klDivergenceKernel } from '../../shaders/kl_divergence.wgsl.ts';
import { ShapeError } from '../errors.ts';
import type { Recording } from '../recording.ts';
import { formatShape, sameShape } from '../shape.ts';
import { channels, rows, type Tensor } from '../tensor.ts';
import { lanesOf, sumAllInto } from './reduce.ts';

export interface KlDivergenceOptions {
  /** Divides the student's logits; default 1. */
  studentTemperature?: number;
  /** Divides the teacher's logits; default 1. */
  teacherTemperature?: number;
}

/**
 * Mean over rows of KL(P_t || P_s) = sum P_t (log P_t - log P_s), P = softmax(logits / temperature), both [..., K]
 * (method.md 2.4). torch.nn.functional.kl_div(log P_s, log P_t, reduction='batchmean', log_target=True). Gradient to the
 * student only. Returns [1].
 */
export function klDivergence(
  rec: Recording,
  student: Tensor,
  teacher: Tensor,
  { studentTemperature = 1, teacherTemperature = 1 }: KlDivergenceOptions = {},
): Tensor {
  if (!sameShape(student.shape, teacher.shape)) {
    throw new ShapeError(
      `klDivergence: student '${student.label}' ${formatShape(student.shape)} and teacher '${teacher.label}' ${formatShape(teacher.shape)} must have one shape`,
    );
  }
  if (!(studentTemperature > 0 && teacherTemperature > 0)) {
    throw new ShapeError(
      `klDivergence: the temperatures are ${studentTemperature} (student) and ${teacherTemperature} (teacher); both must be above 0`,
    );
  }
  const [width, count] = [channels(student), rows(student)];
  const lanes = lanesOf(rec.device, count);
  const params = { rows: count, student_scale: 1 / studentTemperature, teacher_scale: 1 / teacherTemperature };
  const partial = rec.tensor([lanes, 1], 'kl_divergence_partial');
  rec.dispatch(klDivergenceKernel(width), { student, teacher, y: partial }, { ...params, lanes }, lanes);
  const loss = sumAllInto(rec, partial, rec.tensor([1], 'kl_divergence'), 1 / count);
  return rec.node('kl_divergence', [student], loss, (dy, gradients) => {
    const dx = gradients.out(0);
    if (dx) rec.dispatch(klDivergenceGradKernel(width), { student, teacher, dy, dx }, params, count);
  });
}
