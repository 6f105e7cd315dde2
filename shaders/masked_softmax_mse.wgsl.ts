import { type Kernel, kernel } from '../engine/kernel.ts';
import { addSquaredError, classes4, eachUnit, softmaxRow, writeSquaredErrorGradient } from './shared/softmax.ts';
import { flatIndex, flatMain, wgsl } from './shared/wgsl.ts';

/** `certain(row)`: whether a row takes part, its uncertainty being below the step scalar of slot `p.threshold_slot`. */
const certain = wgsl`
fn certain(row: u32) -> bool { return uncertainty[row] < scalars[p.threshold_slot]; }
`;

/**
 * masked_softmax_mse: over the certain ones of the rows lane, lane + lanes, ...: the sum of (softmax(logits) - q)^2 over all
 * classes, and how many there are.
 *
 * layout   logits, q [rows, units vec4], uncertainty f32 [rows], y [lanes vec4]: (sum, count, 0, 0)
 * owns     one lane; a tree of sums adds the lanes up
 * cost     logits, q and uncertainty read once from memory, memory bound
 * mirror   test/reference/masked_softmax_mse.ts
 */
export function maskedSoftmaxMseKernel(classes: number): Kernel {
  const units = Math.ceil(classes / 4);
  return kernel(
    'masked_softmax_mse',
    wgsl`
struct Params { rows: u32, lanes: u32, threshold_slot: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> scalars: array<f32>;
@group(0) @binding(2) var<storage, read> logits: array<vec4f>;
@group(0) @binding(3) var<storage, read> q: array<vec4f>;
@group(0) @binding(4) var<storage, read> uncertainty: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<vec4f>;
${flatIndex}
${classes4}
${softmaxRow('logits', classes)}
${certain}
${flatMain}
  if (i >= p.lanes) { return; }
  var sum = 0.0;
  var count = 0u;
  for (var row = i; row < p.rows; row += p.lanes) {
    if (!certain(row)) { continue; }
    count++;
    let base = row * ${units}u;
    ${addSquaredError(units)}
  }
  y[i] = vec4f(sum, f32(count), 0.0, 0.0);
}
`,
  );
}

/** masked_softmax_mse_mean: loss = sum / (2 count), 0 where nothing is certain, and the certain share count / rows. One invocation. */
export function maskedSoftmaxMseMeanKernel(): Kernel {
  return kernel(
    'masked_softmax_mse_mean',
    wgsl`
struct Params { rows: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> sums: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> loss: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> share: array<vec4f>;
${flatIndex}
${flatMain}
  if (i >= 1u) { return; }
  loss[0] = vec4f(sums[0].x / max(2.0 * sums[0].y, 1.0), 0.0, 0.0, 0.0);
  share[0] = vec4f(sums[0].y / f32(p.rows), 0.0, 0.0, 0.0);
}
`,
  );
}

/**
 * masked_softmax_mse_grad: dx = dy p (dp - sum over classes of p dp), dp = (p - q) / count in certain rows; zero in others.
 *
 * owns     one row
 * cost     logits, q and uncertainty read, dx written once, memory bound
 * mirror   test/reference/masked_softmax_mse.ts
 */
export function maskedSoftmaxMseGradKernel(classes: number): Kernel {
  const units = Math.ceil(classes / 4);
  return kernel(
    'masked_softmax_mse_grad',
    wgsl`
struct Params { rows: u32, threshold_slot: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> scalars: array<f32>;
@group(0) @binding(2) var<storage, read> logits: array<vec4f>;
@group(0) @binding(3) var<storage, read> q: array<vec4f>;
@group(0) @binding(4) var<storage, read> uncertainty: array<f32>;
@group(0) @binding(5) var<storage, read> sums: array<vec4f>;
@group(0) @binding(6) var<storage, read> dy: array<vec4f>;
@group(0) @binding(7) var<storage, read_write> dx: array<vec4f>;
${flatIndex}
${classes4}
${softmaxRow('logits', classes)}
${certain}
${flatMain}
  if (i >= p.rows) { return; }
  let base = i * ${units}u;
  if (!certain(i)) {
    ${eachUnit(units, (unit) => `dx[base + ${unit}] = vec4f(0.0);`)}
    return;
  }
  let factor = dy[0].x / max(sums[0].y, 1.0);
  ${writeSquaredErrorGradient(units)}
}
`,
  );
}
