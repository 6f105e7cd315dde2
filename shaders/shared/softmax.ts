import { wgsl } from './wgsl.ts';

/** Repeats a piece of WGSL for every vec4 unit of a row: written out for up to two units (8 classes), a loop beyond. */
export function eachUnit(units: number, body: (unit: string) => string): string {
  if (units > 2) return `for (var unit = 0u; unit < ${units}u; unit++) { ${body('unit')} }`;
  return Array.from({ length: units }, (_, unit) => `{ ${body(`${unit}u`)} }`).join('\n  ');
}

/** `class_of(unit)`: the classes in a vec4 unit; `one_hot(unit, label)`: 1 where the class is the label. */
export const classes4 = wgsl`
fn class_of(unit: u32) -> vec4u { return vec4u(unit * 4u) + vec4u(0u, 1u, 2u, 3u); }
fn one_hot(unit: u32, label: u32) -> vec4f { return select(vec4f(0.0), vec4f(1.0), class_of(unit) == vec4u(label)); }
`;

/**
 * Softmax of the row of `classes` logits that begins at x[base], x a bound array<vec4f>:
 *   x_at(base, unit)           logits of a unit times `scale`, a large negative number in the padding
 *   x_max_log(base)            (max, log sum exp(logit - max))
 *   x_log_softmax(base, unit, max_log), x_softmax(...)   log p, p; p is zero in the padding
 * Needs classes4. Rows are read again instead of kept in registers: they are in the first-level cache.
 */
export const softmaxRow = (x: string, classes: number, scale = '1.0') => {
  const units = Math.ceil(classes / 4);
  return wgsl`
fn ${x}_at(base: u32, unit: u32) -> vec4f {
  return select(vec4f(-3e38), ${x}[base + unit] * ${scale}, class_of(unit) < vec4u(${classes}u));
}
fn ${x}_max_log(base: u32) -> vec2f {
  var top = vec4f(-3e38);
  ${eachUnit(units, (unit) => `top = max(top, ${x}_at(base, ${unit}));`)}
  let highest = max(max(top.x, top.y), max(top.z, top.w));
  var sum = vec4f(0.0);
  ${eachUnit(units, (unit) => `sum += exp(${x}_at(base, ${unit}) - highest);`)}
  return vec2f(highest, log((sum.x + sum.y) + (sum.z + sum.w)));
}
fn ${x}_log_softmax(base: u32, unit: u32, max_log: vec2f) -> vec4f {
  return (${x}_at(base, unit) - max_log.x) - max_log.y;
}
fn ${x}_softmax(base: u32, unit: u32, max_log: vec2f) -> vec4f {
  return select(vec4f(0.0), exp(${x}_log_softmax(base, unit, max_log)), class_of(unit) < vec4u(${classes}u));
}
`;
};

/** Adds |softmax(logits) - q|^2 of the row at `base` to `sum`; needs softmaxRow('logits'). */
export function addSquaredError(units: number): string {
  return `let max_log = logits_max_log(base);
    ${eachUnit(
      units,
      (unit) => `let apart = logits_softmax(base, ${unit}, max_log) - q[base + ${unit}]; sum += dot(apart, apart);`,
    )}`;
}

/** Writes dx = factor p (p - q - sum over classes of p (p - q)), p = softmax(logits), of the row at `base`. */
export function writeSquaredErrorGradient(units: number): string {
  return `let max_log = logits_max_log(base);
  var along = 0.0;
  ${eachUnit(
    units,
    (unit) => `let prob = logits_softmax(base, ${unit}, max_log); along += dot(prob, prob - q[base + ${unit}]);`,
  )}
  ${eachUnit(
    units,
    (unit) => `let prob = logits_softmax(base, ${unit}, max_log);
  dx[base + ${unit}] = factor * prob * (prob - q[base + ${unit}] - along);`,
  )}`;
}
