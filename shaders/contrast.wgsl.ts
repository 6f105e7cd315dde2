import { type Kernel, kernel } from '../engine/kernel.ts';
import { flatIndex, flatMain, wgsl } from './shared/wgsl.ts';
import { NOTHING } from './voxel_codes.wgsl.ts';

/**
 * class_relation: how often each class takes its negatives from each other present one, and what its queries weigh.
 * Shares: softmax over the others of cos(mu_c, mu_k) / tau, or equal ones; stored cumulatively, all zero for a class without
 * others. Weight 1 / (present classes * queries) where two classes are present and class c has queries to draw, else 0.
 *
 * layout   prototypes [classes, pitch vec4] of unit length, totals u32 [2 classes] (valid, hard); cdf f32 [classes,
 *          classes], weights f32 [classes]
 * owns     one class
 * cost     classes dot products an invocation
 * mirror   test/action/contrast.test.ts
 */
export function classRelationKernel(classes: number, related: boolean, hard: boolean): Kernel {
  return kernel(
    'class_relation',
    wgsl`
struct Params { pitch: u32, queries: u32, tau: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> prototypes: array<vec4f>;
@group(0) @binding(2) var<storage, read> totals: array<u32>;
@group(0) @binding(3) var<storage, read_write> cdf: array<f32>;
@group(0) @binding(4) var<storage, read_write> weights: array<f32>;
${flatIndex}
fn takes(c: u32, k: u32) -> bool { return k != c && totals[2u * c] > 0u && totals[2u * k] > 0u; }
fn logit(c: u32, k: u32) -> f32 {
#if ${related}
  var sum = 0.0;
  for (var unit = 0u; unit < p.pitch; unit++) {
    sum += dot(prototypes[c * p.pitch + unit], prototypes[k * p.pitch + unit]);
  }
  return sum / p.tau;
#else
  return 0.0;
#endif
}
${flatMain}
  if (i >= ${classes}u) { return; }
  var shares: array<f32, ${classes}>;
  var highest = -3e38;
  var present = 0u;
  for (var k = 0u; k < ${classes}u; k++) {
    present += u32(totals[2u * k] > 0u);
    if (!takes(i, k)) { continue; }
    shares[k] = logit(i, k);
    highest = max(highest, shares[k]);
  }
  var sum = 0.0;
  for (var k = 0u; k < ${classes}u; k++) {
    shares[k] = select(0.0, exp(min(shares[k] - highest, 0.0)), takes(i, k));
    sum += shares[k];
  }
  var upto = 0.0;
  for (var k = 0u; k < ${classes}u; k++) {
    upto += shares[k];
    cdf[i * ${classes}u + k] = upto / max(sum, 1e-30);
  }
  let asks = present > 1u && totals[2u * i + ${hard ? 1 : 0}u] > 0u;
  weights[i] = select(0.0, 1.0 / (f32(max(present, 1u)) * f32(p.queries)), asks);
}
`,
  );
}

/**
 * Where the keys of a query are: 'shared', the same \`negatives\` rows for all queries of a class; 'indexed', rows named by a
 * tensor; 'own', rows of its own.
 */
export type KeyPlan = 'shared' | 'indexed' | 'own';

/** \`key_row(query, j)\`: row of negative j of a query, 0xffffffff for none. \`query\` counts from the first one of this part. */
const keyRow = (plan: KeyPlan) =>
  plan === 'shared'
    ? 'fn key_row(query: u32, j: u32) -> u32 { return (query + p.first) / p.per_class * p.negatives + j; }'
    : plan === 'own'
      ? 'fn key_row(query: u32, j: u32) -> u32 { return query * p.negatives + j; }'
      : 'fn key_row(query: u32, j: u32) -> u32 { return indices[(query + p.first) * p.negatives + j]; }';

/**
 * contrast_logits: cos(query, key) / tau of each query with each of its negatives; a large negative number for none.
 *
 * layout   queries [all, pitch vec4], keys [rows, pitch vec4] of unit length; y [part, negatives padded to vec4]
 * owns     four negatives of one query; neighbours share the query
 * cost     5 pitch loads
 * mirror   test/action/contrast.test.ts
 */
export function contrastLogitsKernel(plan: KeyPlan): Kernel {
  return kernel(
    `contrast_logits_${plan}`,
    wgsl`
struct Params { count: u32, first: u32, per_class: u32, negatives: u32, units: u32, pitch: u32, tau: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> queries: array<vec4f>;
@group(0) @binding(2) var<storage, read> keys: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;
#if ${plan === 'indexed'}
@group(0) @binding(4) var<storage, read> indices: array<u32>;
#endif
${keyRow(plan)}
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  let query = i / p.units;
  let j = i % p.units * 4u;
  var row = vec4u(${NOTHING});
  for (var lane = 0u; lane < min(4u, p.negatives - j); lane++) { row[lane] = key_row(query, j + lane); }
  let missing = row == vec4u(${NOTHING});
  let at = select(row, vec4u(0u), missing) * p.pitch;
  var sum = vec4f(0.0);
  for (var unit = 0u; unit < p.pitch; unit++) {
    let q = queries[(query + p.first) * p.pitch + unit];
    sum += vec4f(dot(q, keys[at.x + unit]), dot(q, keys[at.y + unit]), dot(q, keys[at.z + unit]), dot(q, keys[at.w + unit]));
  }
  let inside = vec4u(j) + vec4u(0u, 1u, 2u, 3u) < vec4u(p.negatives);
  y[i] = select(vec4f(0.0), select(sum / p.tau, vec4f(-3e38), missing), inside);
}
`,
  );
}

/**
 * contrast_loss: weight * -log(e^pos / (e^pos + sum of e^negative)) of each query, pos = cos(query, prototype of its class) / tau.
 *
 * layout   logits [part, units vec4]; losses [all, 1 vec4]; normaliser f32 [all, 2]: log of the denominator, pos
 * owns     one query
 * cost     its logits read twice
 * mirror   test/action/contrast.test.ts
 */
export function contrastLossKernel(): Kernel {
  return kernel(
    'contrast_loss',
    wgsl`
struct Params { count: u32, first: u32, per_class: u32, negatives: u32, units: u32, pitch: u32, tau: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> queries: array<vec4f>;
@group(0) @binding(2) var<storage, read> prototypes: array<vec4f>;
@group(0) @binding(3) var<storage, read> logits: array<vec4f>;
@group(0) @binding(4) var<storage, read> weights: array<f32>;
@group(0) @binding(5) var<storage, read_write> losses: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> normaliser: array<f32>;
${flatIndex}
fn logits_at(query: u32, unit: u32) -> vec4f {
  let inside = vec4u(unit * 4u) + vec4u(0u, 1u, 2u, 3u) < vec4u(p.negatives);
  return select(vec4f(-3e38), logits[query * p.units + unit], inside);
}
${flatMain}
  if (i >= p.count) { return; }
  let query = i + p.first;
  let label = query / p.per_class;
  var along = 0.0;
  for (var unit = 0u; unit < p.pitch; unit++) {
    along += dot(queries[query * p.pitch + unit], prototypes[label * p.pitch + unit]);
  }
  let positive = along / p.tau;
  var top = vec4f(positive);
  for (var unit = 0u; unit < p.units; unit++) { top = max(top, logits_at(i, unit)); }
  let highest = max(max(top.x, top.y), max(top.z, top.w));
  var sum = vec4f(0.0);
  for (var unit = 0u; unit < p.units; unit++) { sum += exp(logits_at(i, unit) - highest); }
  let denominator = highest + log(exp(positive - highest) + ((sum.x + sum.y) + (sum.z + sum.w)));
  losses[query] = vec4f(weights[label] * (denominator - positive), 0.0, 0.0, 0.0);
  normaliser[2u * query] = denominator;
  normaliser[2u * query + 1u] = positive;
}
`,
  );
}

/**
 * contrast_slope: the derivative of each query's weighted loss with respect to its unit vector: weight / tau times
 * (sum of p_j key_j + (p_positive - 1) prototype), p the softmax over positive and negatives.
 *
 * layout   as contrast_loss; y [all, pitch vec4], the rows of this part
 * owns     one vec4 of a query; neighbours read neighbouring channels of a key
 * cost     a load of keys a negative
 * mirror   test/action/contrast.test.ts
 */
export function contrastSlopeKernel(plan: KeyPlan): Kernel {
  return kernel(
    `contrast_slope_${plan}`,
    wgsl`
struct Params { count: u32, first: u32, per_class: u32, negatives: u32, units: u32, pitch: u32, tau: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> prototypes: array<vec4f>;
@group(0) @binding(2) var<storage, read> keys: array<vec4f>;
@group(0) @binding(3) var<storage, read> logits: array<f32>;
@group(0) @binding(4) var<storage, read> weights: array<f32>;
@group(0) @binding(5) var<storage, read> normaliser: array<f32>;
@group(0) @binding(6) var<storage, read_write> y: array<vec4f>;
#if ${plan === 'indexed'}
@group(0) @binding(7) var<storage, read> indices: array<u32>;
#endif
${keyRow(plan)}
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  let part = i / p.pitch;
  let unit = i % p.pitch;
  let query = part + p.first;
  let label = query / p.per_class;
  let denominator = normaliser[2u * query];
  var sum = (exp(normaliser[2u * query + 1u] - denominator) - 1.0) * prototypes[label * p.pitch + unit];
  for (var j = 0u; j < p.negatives; j++) {
    let row = key_row(part, j);
    if (row == ${NOTHING}) { continue; }
    sum += exp(logits[part * p.units * 4u + j] - denominator) * keys[row * p.pitch + unit];
  }
  y[query * p.pitch + unit] = weights[label] / p.tau * sum;
}
`,
  );
}

/**
 * contrast_shares: logits become what each negative has of its query's denominator, exp(logit - log denominator); zero behind
 * the last negative.
 *
 * layout   logits [queries, units vec4], in place; normaliser f32 [queries, 2]
 * owns     one vec4
 * mirror   test/action/contrast.test.ts
 */
export function contrastSharesKernel(): Kernel {
  return kernel(
    'contrast_shares',
    wgsl`
struct Params { count: u32, units: u32, negatives: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> normaliser: array<f32>;
@group(0) @binding(2) var<storage, read_write> logits: array<vec4f>;
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  let inside = vec4u(i % p.units * 4u) + vec4u(0u, 1u, 2u, 3u) < vec4u(p.negatives);
  logits[i] = select(vec4f(0.0), exp(logits[i] - normaliser[2u * (i / p.units)]), inside);
}
`,
  );
}

/**
 * slope_of_sums: contrast_slope where the sums of shares times keys are there already.
 *
 * layout   sums, y [queries, pitch vec4]; the rest as in contrast_slope
 * owns     one vec4
 * mirror   test/action/contrast.test.ts
 */
export function slopeOfSumsKernel(): Kernel {
  return kernel(
    'slope_of_sums',
    wgsl`
struct Params { count: u32, per_class: u32, pitch: u32, tau: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> prototypes: array<vec4f>;
@group(0) @binding(2) var<storage, read> sums: array<vec4f>;
@group(0) @binding(3) var<storage, read> weights: array<f32>;
@group(0) @binding(4) var<storage, read> normaliser: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<vec4f>;
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  let query = i / p.pitch;
  let label = query / p.per_class;
  let away = exp(normaliser[2u * query + 1u] - normaliser[2u * query]) - 1.0;
  y[i] = weights[label] / p.tau * (away * prototypes[label * p.pitch + i % p.pitch] + sums[i]);
}
`,
  );
}
