import { type Kernel, kernel } from '../engine/kernel.ts';
import { eachUnit } from './shared/softmax.ts';
import { flatIndex, flatMain, wgsl } from './shared/wgsl.ts';

/**
 * entropy: -sum over classes of p log p of each row, 0 log 0 = 0. The padding is zero and adds nothing.
 *
 * layout   x [rows, units vec4], y f32 [rows]
 * owns     one row
 * cost     x read once, memory bound
 * mirror   test/reference/entropy.ts
 */
export function entropyKernel(classes: number): Kernel {
  const units = Math.ceil(classes / 4);
  return kernel(
    'entropy',
    wgsl`
struct Params { rows: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
${flatIndex}
${flatMain}
  if (i >= p.rows) { return; }
  var sum = 0.0;
  ${eachUnit(units, (unit) => `let v = x[i * ${units}u + ${unit}]; sum += dot(v, log(max(v, vec4f(1e-30))));`)}
  y[i] = -sum;
}
`,
  );
}
