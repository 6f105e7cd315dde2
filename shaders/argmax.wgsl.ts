import { type Kernel, kernel } from '../engine/kernel.ts';
import { classes4, eachUnit, softmaxRow } from './shared/softmax.ts';
import { flatIndex, flatMain, wgsl } from './shared/wgsl.ts';

/**
 * argmax: the class with the largest logit, the lowest one among equals, and its probability 1 / sum exp(x - max); or, where the
 * values are `probabilities` already, just that.
 *
 * layout   values [rows, units vec4], labels u32 [rows], confidence f32 [rows]
 * owns     one row
 * cost     values read once from memory, memory bound
 * mirror   test/reference/softmax.ts
 */
export function argmaxKernel(classes: number, probabilities: boolean): Kernel {
  const units = Math.ceil(classes / 4);
  return kernel(
    `argmax${probabilities ? '_probabilities' : ''}`,
    wgsl`
struct Params { rows: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> values: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> labels: array<u32>;
@group(0) @binding(3) var<storage, read_write> confidence: array<f32>;
${flatIndex}
${classes4}
${softmaxRow('values', classes)}
${flatMain}
  if (i >= p.rows) { return; }
  let base = i * ${units}u;
  let max_log = values_max_log(base);
  var lowest = vec4u(${classes - 1}u);
  ${eachUnit(
    units,
    (unit) => `lowest = select(lowest, min(lowest, class_of(${unit})), values_at(base, ${unit}) >= vec4f(max_log.x));`,
  )}
  labels[i] = min(min(lowest.x, lowest.y), min(lowest.z, lowest.w));
  confidence[i] = ${probabilities ? 'max_log.x' : 'exp(-max_log.y)'};
}
`,
  );
}
