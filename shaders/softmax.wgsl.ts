import { type Kernel, kernel } from '../engine/kernel.ts';
import { classes4, eachUnit, softmaxRow } from './shared/softmax.ts';
import { flatIndex, flatMain, wgsl } from './shared/wgsl.ts';

export type SoftmaxKind = 'softmax' | 'log_softmax';

/**
 * softmax, log_softmax along the channels; the padding takes no part and is written zero.
 *
 * layout   x, y [rows, units vec4]
 * owns     one row: its maximum, its sum, its results
 * cost     x read once from memory, y written once, memory bound
 * mirror   test/reference/softmax.ts
 */
export function softmaxKernel(kind: SoftmaxKind, channels: number): Kernel {
  const units = Math.ceil(channels / 4);
  return kernel(
    kind,
    wgsl`
struct Params { rows: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;
${flatIndex}
${classes4}
${softmaxRow('x', channels)}
${flatMain}
  if (i >= p.rows) { return; }
  let base = i * ${units}u;
  let max_log = x_max_log(base);
#if ${kind === 'softmax'}
  ${eachUnit(units, (unit) => `y[base + ${unit}] = x_softmax(base, ${unit}, max_log);`)}
#else
  let inside = vec4u(${channels}u);
  ${eachUnit(
    units,
    (unit) =>
      `y[base + ${unit}] = select(vec4f(0.0), x_log_softmax(base, ${unit}, max_log), class_of(${unit}) < inside);`,
  )}
#endif
}
`,
  );
}

/**
 * softmax_grad: dx = y (dy - sum of y dy); log_softmax_grad: dx = dy - exp(y) sum of dy; from the output y.
 *
 * owns     one row
 * cost     y and dy read, dx written once, memory bound
 * mirror   test/reference/softmax.ts
 */
export function softmaxGradKernel(kind: SoftmaxKind, channels: number): Kernel {
  const units = Math.ceil(channels / 4);
  return kernel(
    `${kind}_grad`,
    wgsl`
struct Params { rows: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> y: array<vec4f>;
@group(0) @binding(2) var<storage, read> dy: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> dx: array<vec4f>;
${flatIndex}
${classes4}
${flatMain}
  if (i >= p.rows) { return; }
  let base = i * ${units}u;
  var sum = 0.0;
#if ${kind === 'softmax'}
  ${eachUnit(units, (unit) => `sum += dot(y[base + ${unit}], dy[base + ${unit}]);`)}
  ${eachUnit(units, (unit) => `dx[base + ${unit}] = y[base + ${unit}] * (dy[base + ${unit}] - sum);`)}
#else
  ${eachUnit(units, (unit) => `sum += dot(vec4f(1.0), dy[base + ${unit}]);`)}
  let inside = vec4u(${channels}u);
  ${eachUnit(
    units,
    (unit) =>
      `dx[base + ${unit}] = select(vec4f(0.0), dy[base + ${unit}] - exp(y[base + ${unit}]) * sum, class_of(${unit}) < inside);`,
  )}
#endif
}
`,
  );
}
