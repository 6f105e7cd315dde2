import { type Kernel, kernel } from '../engine/kernel.ts';
import { addSquaredError, classes4, softmaxRow, writeSquaredErrorGradient } from './shared/softmax.ts';
import { flatIndex, flatMain, wgsl } from './shared/wgsl.ts';

/**
 * softmax_mse: sum of (softmax(logits) - q)^2 over the rows lane, lane + lanes, ... and all classes.
 *
 * layout   logits, q [rows, units vec4], y [lanes vec4], the sum in the first channel
 * owns     one lane; a tree of sums adds the lanes up
 * cost     logits and q read once from memory, memory bound
 * mirror   test/reference/softmax_mse.ts
 */
export function softmaxMseKernel(classes: number): Kernel {
  const units = Math.ceil(classes / 4);
  return kernel(
    'softmax_mse',
    wgsl`
struct Params { rows: u32, lanes: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> logits: array<vec4f>;
@group(0) @binding(2) var<storage, read> q: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;
${flatIndex}
${classes4}
${softmaxRow('logits', classes)}
${flatMain}
  if (i >= p.lanes) { return; }
  var sum = 0.0;
  for (var row = i; row < p.rows; row += p.lanes) {
    let base = row * ${units}u;
    ${addSquaredError(units)}
  }
  y[i] = vec4f(sum, 0.0, 0.0, 0.0);
}
`,
  );
}

/** softmax_mse_grad: dx = dy p (dp - sum over classes of p dp), dp = factor (p - q), factor = 2 / elements. One row an invocation. */
export function softmaxMseGradKernel(classes: number): Kernel {
  const units = Math.ceil(classes / 4);
  return kernel(
    'softmax_mse_grad',
    wgsl`
struct Params { rows: u32, factor: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> logits: array<vec4f>;
@group(0) @binding(2) var<storage, read> q: array<vec4f>;
@group(0) @binding(3) var<storage, read> dy: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> dx: array<vec4f>;
${flatIndex}
${classes4}
${softmaxRow('logits', classes)}
${flatMain}
  if (i >= p.rows) { return; }
  let base = i * ${units}u;
  let factor = p.factor * dy[0].x;
  ${writeSquaredErrorGradient(units)}
}
`,
  );
}
