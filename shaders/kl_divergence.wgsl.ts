import { type Kernel, kernel } from '../engine/kernel.ts';
import { classes4, eachUnit, softmaxRow } from './shared/softmax.ts';
import { flatIndex, flatMain, wgsl } from './shared/wgsl.ts';

const rowsOfBoth = (width: number) => wgsl`
${classes4}
${softmaxRow('student', width, 'p.student_scale')}
${softmaxRow('teacher', width, 'p.teacher_scale')}
`;

/**
 * kl_divergence: sum of P_t (log P_t - log P_s) over the rows lane, lane + lanes, ..., P = softmax(scale * logits).
 *
 * layout   student, teacher [rows, units vec4], y [lanes vec4], the sum in the first channel
 * owns     one lane; a tree of sums adds the lanes up
 * cost     both logits read once from memory
 * mirror   test/reference/kl_divergence.ts
 */
export function klDivergenceKernel(width: number): Kernel {
  const units = Math.ceil(width / 4);
  return kernel(
    'kl_divergence',
    wgsl`
struct Params { rows: u32, lanes: u32, student_scale: f32, teacher_scale: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> student: array<vec4f>;
@group(0) @binding(2) var<storage, read> teacher: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;
${flatIndex}
${rowsOfBoth(width)}
${flatMain}
  if (i >= p.lanes) { return; }
  var sum = 0.0;
  for (var row = i; row < p.rows; row += p.lanes) {
    let base = row * ${units}u;
    let s = student_max_log(base);
    let t = teacher_max_log(base);
    ${eachUnit(
      units,
      (unit) => `let apart = teacher_log_softmax(base, ${unit}, t) - student_log_softmax(base, ${unit}, s);
    sum += dot(teacher_softmax(base, ${unit}, t), apart);`,
    )}
  }
  y[i] = vec4f(sum, 0.0, 0.0, 0.0);
}
`,
  );
}

/** kl_divergence_grad: dx = dy factor (P_s - P_t), factor = student_scale / rows. One row an invocation. */
export function klDivergenceGradKernel(width: number): Kernel {
  const units = Math.ceil(width / 4);
  return kernel(
    'kl_divergence_grad',
    wgsl`
struct Params { rows: u32, student_scale: f32, teacher_scale: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> student: array<vec4f>;
@group(0) @binding(2) var<storage, read> teacher: array<vec4f>;
@group(0) @binding(3) var<storage, read> dy: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> dx: array<vec4f>;
${flatIndex}
${rowsOfBoth(width)}
${flatMain}
  if (i >= p.rows) { return; }
  let base = i * ${units}u;
  let factor = dy[0].x * p.student_scale / f32(p.rows);
  let s = student_max_log(base);
  let t = teacher_max_log(base);
  ${eachUnit(
    units,
    (unit) => `dx[base + ${unit}] = factor * (student_softmax(base, ${unit}, s) - teacher_softmax(base, ${unit}, t));`,
  )}
}
`,
  );
}
