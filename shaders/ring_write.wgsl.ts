import { type Kernel, kernel } from '../engine/kernel.ts';
import { flatIndex, flatMain, wgsl } from './shared/wgsl.ts';

/**
 * ring_write: ring[(cursor + r) mod K] = rows[r], the cursor read from the step scalars.
 *
 * layout   rows [R, units vec4], ring [K, units vec4], R at most K; scalars f32
 * owns     one vec4; neighbours write neighbouring addresses
 * cost     32 bytes an invocation, memory bound
 * mirror   test/reference/ring_write.ts
 */
export function ringWriteKernel(): Kernel {
  return kernel(
    'ring_write',
    wgsl`
struct Params { count: u32, units: u32, capacity: u32, slot: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> rows: array<vec4f>;
@group(0) @binding(2) var<storage, read> scalars: array<f32>;
@group(0) @binding(3) var<storage, read_write> ring: array<vec4f>;
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  let row = (u32(scalars[p.slot]) + i / p.units) % p.capacity;
  ring[row * p.units + i % p.units] = rows[i];
}
`,
  );
}
