import { type Kernel, kernel } from '../engine/kernel.ts';
import { flatIndex, flatMain, wgsl } from './shared/wgsl.ts';

/**
 * add: y = a + b over vec4 units.
 *
 * layout   flat; one invocation a vec4
 * cost     48 bytes an invocation, memory bound
 * mirror   test/reference/elementwise.ts
 */
export function addKernel(): Kernel {
  return kernel(
    'add',
    wgsl`
struct Params { count: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4f>;
@group(0) @binding(2) var<storage, read> b: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  y[i] = a[i] + b[i];
}
`,
  );
}

/**
 * fill: y = value in every channel, zero in the padding behind the last one.
 *
 * layout   flat; one invocation a vec4
 */
export function fillKernel(): Kernel {
  return kernel(
    'fill',
    wgsl`
struct Params { count: u32, channels: u32, pitch: u32, value: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  let channel = vec4u((i % p.pitch) * 4u) + vec4u(0u, 1u, 2u, 3u);
  y[i] = select(vec4f(0.0), vec4f(p.value), channel < vec4u(p.channels));
}
`,
  );
}
