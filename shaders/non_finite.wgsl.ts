import { type Kernel, kernel } from '../engine/kernel.ts';
import { flatIndex, flatMain, wgsl } from './shared/wgsl.ts';

/** Elements one invocation looks at. */
export const NON_FINITE_CHUNK = 16;

/**
 * non_finite: first = code when any of `count` float32 is NaN or an infinity and no earlier check has said so. The floats come
 * as bits, all exponent bits set being the test: WGSL lets an implementation assume that no float is NaN, so x != x may be false.
 *
 * layout   x flat, u32 bits of f32; first one u32, zero at the start of a run
 * owns     elements i, i + threads, i + 2 threads, ... so that neighbours read neighbours
 * cost     4 bytes an element, memory bound; nothing is read once a code is set. Atomics, since several invocations may find one
 * mirror   test/reference/non_finite.ts
 */
export function nonFiniteKernel(): Kernel {
  return kernel(
    'non_finite',
    wgsl`
struct Params { count: u32, threads: u32, code: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> first: atomic<u32>;
${flatIndex}
${flatMain}
  if (i >= p.threads || atomicLoad(&first) != 0u) { return; }
  for (var at = i; at < p.count; at += p.threads) {
    if ((x[at] & 0x7f800000u) == 0x7f800000u) {
      atomicStore(&first, p.code);
      return;
    }
  }
}
`,
  );
}
