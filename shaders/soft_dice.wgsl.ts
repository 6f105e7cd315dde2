import { type Kernel, kernel } from '../engine/kernel.ts';
import { classes4, eachUnit, softmaxRow } from './shared/softmax.ts';
import { flatIndex, flatMain, wgsl } from './shared/wgsl.ts';

/** Classes one invocation keeps sums of: four vec4 units. */
const BLOCK_UNITS = 4;

export interface SoftDiceKernelOptions {
  classes: number;
  /** Denominator sum p^2 + y^2, else sum p + y. */
  squared: boolean;
  /** Cross-entropy beside it: the loss is the mean of both. */
  crossEntropy: boolean;
  /** A constant factor for the terms of each row. */
  weighted: boolean;
}

/** Invocations a lane takes: one for each 16 classes. */
export function softDiceBlocks(classes: number): number {
  return Math.ceil(Math.ceil(classes / 4) / BLOCK_UNITS);
}

/** vec4 units of a row of sums: intersections, denominators and, beside cross-entropy, (sum, count, 0, 0). */
export function softDiceUnits({ classes, crossEntropy }: SoftDiceKernelOptions): number {
  return 2 * Math.ceil(classes / 4) + (crossEntropy ? 1 : 0);
}

/**
 * soft_dice: per class, over the rows lane, lane + lanes, ... with a valid label: intersection sum p y and denominator
 * sum p^2 + y (or p + y), p = softmax(logits); in the same pass the sum and count of cross-entropy. Weights multiply each
 * row's terms in all sums and leave the count alone.
 *
 * layout   logits [rows, units vec4], labels u32 [rows], weights f32 (one for each `per_weight` rows), y [lanes, softDiceUnits vec4]
 * owns     one (lane, block of 16 classes); the softmax is evaluated once a block. column_sums adds the lanes up
 * cost     logits read once from memory for up to 16 classes, memory bound
 * mirror   test/reference/soft_dice.ts
 */
export function softDiceKernel(options: SoftDiceKernelOptions): Kernel {
  const { classes, squared, crossEntropy, weighted } = options;
  const units = Math.ceil(classes / 4);
  const blocks = softDiceBlocks(classes);
  const block = Array.from({ length: Math.min(units, BLOCK_UNITS) }, (_, k) => k);
  const unit = (k: number) => (blocks === 1 ? `${k}u` : `(first + ${k}u)`);
  const times = weighted ? 'weight * ' : '';
  const inside = (k: number, text: string) => (blocks === 1 ? text : `if (${unit(k)} < ${units}u) { ${text} }`);
  return kernel(
    'soft_dice',
    wgsl`
struct Params { rows: u32, lanes: u32, ignore_label: u32${weighted ? ', per_weight: u32' : ''} }
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
  if (i >= p.lanes * ${blocks}u) { return; }
  let lane = i / ${blocks}u;
  let first = (i % ${blocks}u) * ${BLOCK_UNITS}u;
  ${block.map((k) => `var both${k} = vec4f(0.0); var either${k} = vec4f(0.0);`).join('\n  ')}
  var loss = 0.0;
  var valid = 0.0;
  for (var row = lane; row < p.rows; row += p.lanes) {
    let label = labels[row];
    if (label >= ${classes}u || label == p.ignore_label) { continue; }
    let base = row * ${units}u;
    let max_log = logits_max_log(base);
#if ${weighted}
    let weight = weights[row / p.per_weight];
#endif
    ${block
      .map((k) =>
        inside(
          k,
          `let p${k} = logits_softmax(base, ${unit(k)}, max_log);
    let y${k} = one_hot(${unit(k)}, label);
    both${k} += ${times}p${k} * y${k};
    either${k} += ${times}(${squared ? `p${k} * p${k}` : `p${k}`} + y${k});`,
        ),
      )
      .join('\n    ')}
#if ${crossEntropy}
    let hit = logits[base + label / 4u];
    loss += ${times}(max_log.y + (max_log.x - hit[label % 4u]));
    valid += 1.0;
#endif
  }
  let out = lane * ${softDiceUnits(options)}u;
  ${block
    .map((k) => inside(k, `y[out + ${unit(k)}] = both${k}; y[out + ${units}u + ${unit(k)}] = either${k};`))
    .join('\n  ')}
#if ${crossEntropy}
  if (first == 0u) { y[out + ${2 * units}u] = vec4f(loss, valid, 0.0, 0.0); }
#endif
}
`,
  );
}

/**
 * soft_dice_mean: from the summed row, dice = 1 - mean over the classes first_class.. of (2 I + eps) / (D + eps), and the
 * slopes dp = A y + B p (squared) or A y + B that the gradient needs. With cross-entropy also ce and loss = (ce + dice) / 2.
 *
 * layout   sums [softDiceUnits vec4], slopes [2 units vec4]: A, then B
 * owns     everything: one invocation
 * mirror   test/reference/soft_dice.ts
 */
export function softDiceMeanKernel(options: SoftDiceKernelOptions): Kernel {
  const { classes, squared, crossEntropy } = options;
  const units = Math.ceil(classes / 4);
  return kernel(
    'soft_dice_mean',
    wgsl`
struct Params { first_class: u32, epsilon: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> sums: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> slopes: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> dice: array<vec4f>;
#if ${crossEntropy}
@group(0) @binding(4) var<storage, read_write> ce: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> loss: array<vec4f>;
#endif
${flatIndex}
${classes4}
${flatMain}
  if (i >= 1u) { return; }
  let share = 1.0 / f32(${classes}u - p.first_class);
  var score = vec4f(0.0);
  for (var unit = 0u; unit < ${units}u; unit++) {
    let class4 = class_of(unit);
    let counted = (class4 >= vec4u(p.first_class)) & (class4 < vec4u(${classes}u));
    let over = 1.0 / (sums[${units}u + unit] + p.epsilon);
    let ratio = select(vec4f(0.0), (2.0 * sums[unit] + p.epsilon) * over, counted);
    score += ratio;
    slopes[unit] = select(vec4f(0.0), -2.0 * share * over, counted);
    slopes[${units}u + unit] = ${squared ? '2.0 * ' : ''}share * ratio * over;
  }
  let value = 1.0 - share * ((score.x + score.y) + (score.z + score.w));
  dice[0] = vec4f(value, 0.0, 0.0, 0.0);
#if ${crossEntropy}
  let entropy = sums[${2 * units}u].x / max(sums[${2 * units}u].y, 1.0);
  ce[0] = vec4f(entropy, 0.0, 0.0, 0.0);
  loss[0] = vec4f(0.5 * (entropy + value), 0.0, 0.0, 0.0);
#endif
}
`,
  );
}

/**
 * soft_dice_grad: dx = dy p (dp - sum over classes of p dp), dp = A y + B p (squared) or A y + B; with cross-entropy
 * dx = dy / 2 (that + (p - y) / count); either times the row's weight. Zero in rows that do not count.
 *
 * layout   sums and slopes as soft_dice_mean left them
 * owns     one row
 * cost     logits read and dx written once, memory bound
 * mirror   test/reference/soft_dice.ts
 */
export function softDiceGradKernel(options: SoftDiceKernelOptions): Kernel {
  const { classes, squared, crossEntropy, weighted } = options;
  const units = Math.ceil(classes / 4);
  const times = weighted ? ' * weights[i / p.per_weight]' : '';
  const slope = (unit: string) =>
    `slopes[${unit}] * one_hot(${unit}, label) + slopes[${units}u + ${unit}]${squared ? ' * prob' : ''}`;
  return kernel(
    'soft_dice_grad',
    wgsl`
struct Params { rows: u32, ignore_label: u32${weighted ? ', per_weight: u32' : ''} }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> logits: array<vec4f>;
@group(0) @binding(2) var<storage, read> labels: array<u32>;
@group(0) @binding(3) var<storage, read> slopes: array<vec4f>;
@group(0) @binding(4) var<storage, read> dy: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> dx: array<vec4f>;
#if ${crossEntropy}
@group(0) @binding(6) var<storage, read> sums: array<vec4f>;
#endif
#if ${weighted}
@group(0) @binding(7) var<storage, read> weights: array<f32>;
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
  let max_log = logits_max_log(base);
  var along = 0.0;
  ${eachUnit(units, (unit) => `let prob = logits_softmax(base, ${unit}, max_log); along += dot(prob, ${slope(unit)});`)}
#if ${crossEntropy}
  let factor = 0.5 * dy[0].x${times};
  let per_row = factor / max(sums[${2 * units}u].y, 1.0);
  ${eachUnit(
    units,
    (unit) => `let prob = logits_softmax(base, ${unit}, max_log);
    dx[base + ${unit}] = factor * prob * (${slope(unit)} - along) + per_row * (prob - one_hot(${unit}, label));`,
  )}
#else
  let factor = dy[0].x${times};
  ${eachUnit(
    units,
    (unit) => `let prob = logits_softmax(base, ${unit}, max_log);
    dx[base + ${unit}] = factor * prob * (${slope(unit)} - along);`,
  )}
#endif
}
`,
  );
}
