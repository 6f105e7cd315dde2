import { type Kernel, kernel } from '../engine/kernel.ts';
import { flatIndex, flatMain, wgsl } from './shared/wgsl.ts';

export type Activation = 'leaky_relu' | 'gelu';

/**
 * WGSL has no erf: Abramowitz and Stegun 7.1.26, |error| < 1.5e-7, kept odd by the sign.
 * `activate(x, slope)` and `activate_grad(x, slope)` = d activate / d x.
 */
export const activationFunctions = (kind: Activation) => wgsl`
#if ${kind === 'leaky_relu'}
fn activate(x: vec4f, slope: f32) -> vec4f { return select(slope * x, x, x > vec4f(0.0)); }
fn activate_grad(x: vec4f, slope: f32) -> vec4f { return select(vec4f(slope), vec4f(1.0), x > vec4f(0.0)); }
#else
fn erf4(x: vec4f) -> vec4f {
  let a = abs(x);
  let t = 1.0 / fma(vec4f(0.3275911), a, vec4f(1.0));
  let poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return sign(x) * (1.0 - poly * exp(-min(a * a, vec4f(80.0))));
}
fn activate(x: vec4f, slope: f32) -> vec4f { return 0.5 * x * (1.0 + erf4(x * 0.70710678)); }
fn activate_grad(x: vec4f, slope: f32) -> vec4f {
  return 0.5 * (1.0 + erf4(x * 0.70710678)) + x * 0.39894228 * exp(-min(0.5 * x * x, vec4f(80.0)));
}
#endif
`;

/**
 * activation: y = f(x).
 *
 * layout   flat; one invocation a vec4
 * cost     32 bytes an invocation, memory bound
 * mirror   test/reference/leaky_relu.ts, gelu.ts
 */
export function activationKernel(kind: Activation): Kernel {
  return kernel(
    kind,
    wgsl`
struct Params { count: u32, slope: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;
${activationFunctions(kind)}
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  y[i] = activate(x[i], p.slope);
}
`,
  );
}

/** activation_grad: dx = dy f'(x), f' recomputed from x. */
export function activationGradKernel(kind: Activation): Kernel {
  return kernel(
    `${kind}_grad`,
    wgsl`
struct Params { count: u32, slope: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> dy: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> dx: array<vec4f>;
${activationFunctions(kind)}
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  dx[i] = dy[i] * activate_grad(x[i], p.slope);
}
`,
  );
}
