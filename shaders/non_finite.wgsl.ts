import { type Kernel, kernel } from '../engine/kernel.ts';
import { flatIndex, flatMain, wgsl } from './shared/wgsl.ts';

/** Elements one invocation looks at. */
export const NON_FINITE_CHUNK = 16;

/**
 * non_finite: first = code when any float in `count` words is NaN or an infinity and no earlier check has said so. The floats come
 * as bits, all exponent bits set being the test: WGSL lets an implementation assume that no float is NaN, so x != x may be false.
 *
 * layout   x flat, the bits of a float32 or of two bfloat16 a word; first one u32, zero at the start of a run
 * owns     elements i, i + threads, i + 2 threads, ... so that neighbours read neighbours
 * cost     4 bytes an element, memory bound; nothing is read once a code is set. Atomics, since several invocations may find one
 * mirror   test/reference/non_finite.ts
 */
export function nonFiniteKernel(dtype: 'f32' | 'bf16'): Kernel {
  const upper = '(x[at] & 0x7f800000u) == 0x7f800000u';
  const lower = '(x[at] & 0x7f80u) == 0x7f80u';
  return kernel(
    `non_finite${dtype === 'bf16' ? '_bf16' : ''}`,
    wgsl`
struct Params { count: u32, threads: u32, code: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> first: atomic<u32>;
${flatIndex}
${flatMain}
  if (i >= p.threads || atomicLoad(&first) != 0u) { return; }
  for (var at = i; at < p.count; at += p.threads) {
    if (${dtype === 'bf16' ? `${upper} || ${lower}` : upper}) {
      atomicStore(&first, p.code);
      return;
    }
  }
}
`,
  );
}
