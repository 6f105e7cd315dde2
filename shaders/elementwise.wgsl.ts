import { type Kernel, kernel } from '../engine/kernel.ts';
import { flatIndex, flatMain, wgsl } from './shared/wgsl.ts';

export type Binary = 'add' | 'sub' | 'mul';

const OPERATOR = { add: '+', sub: '-', mul: '*' } as const;

/**
 * add, sub, mul: y = a + b, a - b, a * b over vec4 units; padding stays zero because it is zero in both.
 *
 * layout   flat; one invocation a vec4
 * cost     48 bytes an invocation, memory bound
 * mirror   test/reference/elementwise.ts
 */
export function binaryKernel(op: Binary): Kernel {
  return kernel(
    op,
    wgsl`
struct Params { count: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4f>;
@group(0) @binding(2) var<storage, read> b: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  y[i] = a[i] ${OPERATOR[op]} b[i];
}
`,
  );
}

/** y = a + b: what the tape adds gradients with. */
export function addKernel(): Kernel {
  return binaryKernel('add');
}

/**
 * add_into: y += x, from vec4 `at` of y on, in place: a part of a gradient that has other parts.
 *
 * layout   flat; one invocation a vec4
 * cost     48 bytes an invocation, memory bound
 * mirror   test/reference/slice.ts
 */
export function addIntoKernel(): Kernel {
  return kernel(
    'add_into',
    wgsl`
struct Params { count: u32, at: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  y[p.at + i] += x[i];
}
`,
  );
}

/**
 * scale: y = factor x, the factor a constant of the recording.
 *
 * layout   flat; one invocation a vec4
 * cost     32 bytes an invocation, memory bound
 * mirror   test/reference/elementwise.ts
 */
export function scaleKernel(): Kernel {
  return kernel(
    'scale',
    wgsl`
struct Params { count: u32, factor: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  y[i] = p.factor * x[i];
}
`,
  );
}

/** scale_by: y = scalars[index] x, the factor read on the device: it may change from replay to replay. As scale. */
export function scaleByKernel(): Kernel {
  return kernel(
    'scale_by',
    wgsl`
struct Params { count: u32, index: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> scalars: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  y[i] = scalars[p.index] * x[i];
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
