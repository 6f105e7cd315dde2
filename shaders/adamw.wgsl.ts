import { type Kernel, kernel } from '../engine/kernel.ts';
import { gradientFactor } from './shared/clip.ts';
import { flatIndex, flatMain, wgsl } from './shared/wgsl.ts';

/**
 * adamw: g = factor dw;  m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  w -= rate (weight_decay w + (m / c1) / (sqrt(v / c2) + epsilon)),
 * with c1 = 1 - b1^t and c2 = 1 - b2^t from the step scalars, where the host puts them without float32's cancellation. Nothing with
 * factor 0.
 *
 * layout   flat vec4 units; weight decay holds for the first `decayed` units
 * owns     one unit of values and both moments, updated in place
 * cost     112 bytes an invocation, memory bound
 * mirror   test/reference/adamw.ts
 */
export function adamwKernel({ clip }: { clip: boolean }): Kernel {
  return kernel(
    'adamw',
    wgsl`
struct Params {
  count: u32,
  decayed: u32,
  rate_slot: u32,
  c1_slot: u32,
  c2_slot: u32,
  beta1: f32,
  one_minus_beta1: f32,
  beta2: f32,
  one_minus_beta2: f32,
  epsilon: f32,
  weight_decay: f32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> scalars: array<f32>;
@group(0) @binding(2) var<storage, read> gradient: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> values: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> first: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> second: array<vec4f>;
#if ${clip}
@group(0) @binding(6) var<storage, read> clip: array<vec4f>;
#endif
${gradientFactor(clip)}
${flatIndex}
${flatMain}
  let factor = gradient_factor();
  if (i >= p.count || factor == 0.0) { return; }
  let w = values[i];
  let g = factor * gradient[i];
  let m = p.beta1 * first[i] + p.one_minus_beta1 * g;
  let v = p.beta2 * second[i] + p.one_minus_beta2 * g * g;
  first[i] = m;
  second[i] = v;
  let adaptive = (m / scalars[p.c1_slot]) / (sqrt(v / scalars[p.c2_slot]) + p.epsilon);
  values[i] = w - scalars[p.rate_slot] * (select(0.0, p.weight_decay, i < p.decayed) * w + adaptive);
}
`,
  );
}
