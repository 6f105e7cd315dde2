import { type Kernel, kernel } from '../engine/kernel.ts';
import { gradientFactor } from './shared/clip.ts';
import { flatIndex, flatMain, wgsl } from './shared/wgsl.ts';

export interface SgdStructure {
  momentum: boolean;
  nesterov: boolean;
  clip: boolean;
}

/**
 * sgd: g = factor dw + weight_decay w;  v = momentum v + g;  w -= rate (nesterov ? g + momentum v : v). Nothing with factor 0.
 *
 * layout   flat vec4 units; weight decay holds for the first `decayed` units
 * owns     one unit of values and velocity, updated in place
 * cost     80 bytes an invocation, memory bound
 * mirror   test/reference/sgd.ts
 */
export function sgdKernel({ momentum, nesterov, clip }: SgdStructure): Kernel {
  return kernel(
    'sgd',
    wgsl`
struct Params {
  count: u32,
  decayed: u32,
  rate_slot: u32,
  momentum: f32,
  weight_decay: f32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> scalars: array<f32>;
@group(0) @binding(2) var<storage, read> gradient: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> values: array<vec4f>;
#if ${momentum}
@group(0) @binding(4) var<storage, read_write> velocity: array<vec4f>;
#endif
#if ${clip}
@group(0) @binding(5) var<storage, read> clip: array<vec4f>;
#endif
${gradientFactor(clip)}
${flatIndex}
${flatMain}
  let factor = gradient_factor();
  if (i >= p.count || factor == 0.0) { return; }
  let w = values[i];
  let g = factor * gradient[i] + select(0.0, p.weight_decay, i < p.decayed) * w;
#if ${momentum}
  let v = p.momentum * velocity[i] + g;
  velocity[i] = v;
#if ${nesterov}
  let direction = g + p.momentum * v;
#else
  let direction = v;
#endif
#else
  let direction = g;
#endif
  values[i] = w - scalars[p.rate_slot] * direction;
}
`,
  );
}
