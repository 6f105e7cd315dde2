import { type Kernel, kernel } from '../engine/kernel.ts';
import { classes4, eachUnit, softmaxRow } from './shared/softmax.ts';
import { flatIndex, flatMain, wgsl } from './shared/wgsl.ts';

/**
 * cross_entropy: sum and count of weight * -log softmax(logits)[label] over the rows lane, lane + lanes, ... that have a
 * label below `classes` other than `ignore_label`.
 *
 * layout   logits [rows, units vec4], labels u32 [rows], weights f32 (one for each `per_weight` rows), y [lanes vec4]
 * owns     one lane: (sum, count, 0, 0); a tree of column_sums adds the lanes up
 * cost     logits read once from memory, memory bound
 * mirror   test/reference/cross_entropy.ts
 */
export function crossEntropyKernel(classes: number, weighted: boolean): Kernel {
  return kernel(
    'cross_entropy',
    wgsl`
struct Params { rows: u32, lanes: u32, ignore_label: u32, per_weight: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> logits: array<vec4f>;
@group(0) @binding(2) var<storage, read> labels: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;
#if ${weighted}
@group(0) @binding(4) var<storage, read> weights: array<f32>;
#endif
${flatIndex}
${classes4}
${softmaxRow('logits', classes)}
${flatMain}
  if (i >= p.lanes) { return; }
  var sum = 0.0;
  var valid = 0.0;
  for (var row = i; row < p.rows; row += p.lanes) {
    let label = labels[row];
    if (label >= ${classes}u || label == p.ignore_label) { continue; }
    let base = row * ${Math.ceil(classes / 4)}u;
    let max_log = logits_max_log(base);
    let hit = logits[base + label / 4u];
    let loss = max_log.y + (max_log.x - hit[label % 4u]);
#if ${weighted}
    sum += weights[row / p.per_weight] * loss;
#else
    sum += loss;
#endif
    valid += 1.0;
  }
  y[i] = vec4f(sum, valid, 0.0, 0.0);
}
`,
  );
}

/** cross_entropy_mean: loss = sum / count, 0 where nothing counts. One invocation. */
export function crossEntropyMeanKernel(): Kernel {
  return kernel(
    'cross_entropy_mean',
    wgsl`
@group(0) @binding(0) var<storage, read> sums: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;
${flatIndex}
${flatMain}
  if (i >= 1u) { return; }
  y[0] = vec4f(sums[0].x / max(sums[0].y, 1.0), 0.0, 0.0, 0.0);
}
`,
  );
}

/**
 * cross_entropy_grad: dx = dy weight (softmax(logits) - onehot) / count, zero in rows that do not count.
 *
 * owns     one row
 * cost     logits read and dx written once, memory bound
 * mirror   test/reference/cross_entropy.ts
 */
export function crossEntropyGradKernel(classes: number, weighted: boolean): Kernel {
  const units = Math.ceil(classes / 4);
  return kernel(
    'cross_entropy_grad',
    wgsl`
struct Params { rows: u32, ignore_label: u32, per_weight: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> logits: array<vec4f>;
@group(0) @binding(2) var<storage, read> labels: array<u32>;
@group(0) @binding(3) var<storage, read> sums: array<vec4f>;
@group(0) @binding(4) var<storage, read> dy: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> dx: array<vec4f>;
#if ${weighted}
@group(0) @binding(6) var<storage, read> weights: array<f32>;
#endif
${flatIndex}
${classes4}
${softmaxRow('logits', classes)}
${flatMain}
  if (i >= p.rows) { return; }
  let label = labels[i];
  let base = i * ${units}u;
  if (label >= ${classes}u || label == p.ignore_label) {
    ${eachUnit(units, (unit) => `dx[base + ${unit}] = vec4f(0.0);`)}
    return;
  }
#if ${weighted}
  let factor = dy[0].x * weights[i / p.per_weight] / max(sums[0].y, 1.0);
#else
  let factor = dy[0].x / max(sums[0].y, 1.0);
#endif
  let max_log = logits_max_log(base);
  ${eachUnit(
    units,
    (unit) => `dx[base + ${unit}] = factor * (logits_softmax(base, ${unit}, max_log) - one_hot(${unit}, label));`,
  )}
}
`,
  );
}
