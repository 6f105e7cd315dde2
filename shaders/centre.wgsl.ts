import { type Kernel, kernel } from '../engine/kernel.ts';
import { flatIndex, flatMain, wgsl } from './shared/wgsl.ts';

/**
 * centre: y[r] = x[r] - sums / scalars[slot]: the mean of as many rows as the step says, at least one.
 *
 * layout   x, y [rows, units vec4], sums [units vec4], scalars f32; padding stays zero because it is zero in both
 * owns     one vec4 of y
 * cost     48 bytes an invocation, memory bound
 * mirror   test/reference/centre.ts
 */
export function centreKernel(): Kernel {
  return kernel(
    'centre',
    wgsl`
struct Params { count: u32, units: u32, slot: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> sums: array<vec4f>;
@group(0) @binding(3) var<storage, read> scalars: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4f>;
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  y[i] = x[i] - sums[i % p.units] / max(scalars[p.slot], 1.0);
}
`,
  );
}
