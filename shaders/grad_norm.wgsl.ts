import { type Kernel, kernel } from '../engine/kernel.ts';
import { clipFactor } from './shared/clip.ts';
import { flatIndex, flatMain, wgsl } from './shared/wgsl.ts';

/** Values one invocation of grad_norm sums; each launch leaves a 256th of the units of the one before. */
export const GRAD_NORM_CHUNK = 256;

/**
 * grad_norm: one level of the Euclidean norm of a flat tensor. `first` squares what it reads; `last` (one partial) adds
 * the four lanes and takes the root; `clip` (of the last) has it followed by the factor that clips to `max_norm`.
 *
 * layout   flat vec4 units; invocation i sums units i, i + partials, i + 2 partials, ... so that neighbours read neighbours
 * owns     one partial sum, four accumulators of four lanes each
 * cost     16 bytes a unit, memory bound; three launches up to 67 million values
 * mirror   test/reference/clip.ts
 */
export function gradNormKernel({ first, last, clip }: { first: boolean; last: boolean; clip: boolean }): Kernel {
  return kernel(
    `grad_norm${first ? '_first' : ''}${last ? '_last' : ''}${clip ? '_clip' : ''}`,
    wgsl`
struct Params {
  count: u32,
  partials: u32,
#if ${clip}
  max_norm: f32,
#endif
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;

fn term(i: u32) -> vec4f {
  if (i >= p.count) { return vec4f(0.0); }
#if ${first}
  return x[i] * x[i];
#else
  return x[i];
#endif
}
#if ${clip}
${clipFactor}
#endif
${flatIndex}
${flatMain}
  if (i >= p.partials) { return; }
  var a = vec4f(0.0);
  var b = vec4f(0.0);
  var c = vec4f(0.0);
  var d = vec4f(0.0);
  for (var at = 0u; at < ${GRAD_NORM_CHUNK}u; at += 4u) {
    a += term(i + at * p.partials);
    b += term(i + (at + 1u) * p.partials);
    c += term(i + (at + 2u) * p.partials);
    d += term(i + (at + 3u) * p.partials);
  }
  let sum = (a + b) + (c + d);
#if ${last}
  let norm = sqrt((sum.x + sum.y) + (sum.z + sum.w));
#if ${clip}
  y[i] = vec4f(norm, clip_factor(norm), 0.0, 0.0);
#else
  y[i] = vec4f(norm, 0.0, 0.0, 0.0);
#endif
#else
  y[i] = sum;
#endif
}
`,
  );
}
