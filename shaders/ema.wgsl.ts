import { type Kernel, kernel } from '../engine/kernel.ts';
import { flatIndex, flatMain, wgsl } from './shared/wgsl.ts';

/**
 * ema: teacher = decay teacher + (1 - decay) student; decay 0 copies to the bit.
 *
 * layout   flat vec4 units
 * owns     one unit of the teacher, updated in place
 * cost     48 bytes an invocation, memory bound
 * mirror   test/reference/ema.ts
 */
export function emaKernel(): Kernel {
  return kernel(
    'ema',
    wgsl`
struct Params { count: u32, decay_slot: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> scalars: array<f32>;
@group(0) @binding(2) var<storage, read> student: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> teacher: array<vec4f>;
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  let decay = scalars[p.decay_slot];
  teacher[i] = decay * teacher[i] + (1.0 - decay) * student[i];
}
`,
  );
}
