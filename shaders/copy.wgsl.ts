import { type Kernel, kernel } from '../engine/kernel.ts';
import { flatIndex, flatMain, repeat, wgsl } from './shared/wgsl.ts';

/**
 * copy: y = x, `each` vec4 an invocation: what the bandwidth peak is measured with.
 *
 * layout   flat; vec4 i, i + threads, i + 2 threads, ... by invocation i, so that neighbours touch neighbours
 * cost     32 bytes a vec4, memory bound
 */
export function copyKernel(each: number): Kernel {
  return kernel(
    `copy ${each}`,
    wgsl`
struct Params { threads: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;
${flatIndex}
${flatMain}
  if (i >= p.threads) { return; }
${repeat(each, (k) => `  y[i + ${k}u * p.threads] = x[i + ${k}u * p.threads];`)}
}
`,
  );
}
