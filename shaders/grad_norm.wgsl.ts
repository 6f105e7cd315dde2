import { type Kernel, kernel } from '../engine/kernel.ts';
import { clipFactor } from './shared/clip.ts';
import { sumTree } from './shared/lane_trees.ts';
import { flatIndex, flatMain, wgsl } from './shared/wgsl.ts';

/** Units, vec4, that one invocation of grad_norm sums; each launch leaves a 256th of the units of the one before. */
export const GRAD_NORM_CHUNK = 256;
/** Invocations of a workgroup of grad_norm_tree; a power of two. */
export const GRAD_NORM_LANES = 256;

/** Which launch this is: `first`, of the values themselves; `last`, which leaves one sum; `clip`, the last with the factor. */
export interface GradNorm {
  first: boolean;
  last: boolean;
  clip: boolean;
  /** For GPUs. */
  trees: boolean;
}

const lanes = sumTree(GRAD_NORM_LANES);

/** Sets `first` and `stride` of the units that an invocation sums, and the partial sum `i` that they go to. */
const treeHead = wgsl`
${lanes.memory}
@compute @workgroup_size(${GRAD_NORM_LANES})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = group.x;
  let first = i * ${GRAD_NORM_LANES}u + lane;
  let stride = p.partials * ${GRAD_NORM_LANES}u;
  let end = p.count;
`;
const flatHead = wgsl`
${flatIndex}
${flatMain}
  if (i >= p.partials) { return; }
  let first = i;
  let stride = p.partials;
  let end = ${GRAD_NORM_CHUNK}u * p.partials;
`;

/**
 * grad_norm, grad_norm_tree: one level of the Euclidean norm of a flat tensor. `first` squares what it reads; `last` (one partial)
 * adds the four channels and takes the root; `clip` (of the last) has it followed by the factor that clips to `max_norm`.
 *
 * layout   flat vec4 units, x to `partials` sums; neighbouring invocations read neighbouring units
 * owns     an invocation: every `partials`th unit, one partial sum, four accumulators of four lanes each. With trees a workgroup has
 *          a partial sum: every lane sums units as far apart as there are lanes in all, then the lanes add up pairwise
 * cost     16 bytes a unit, memory bound; three launches up to 67 million values. Trees: ${Math.log2(GRAD_NORM_LANES)} barriers, so no kernel for
 *          adapters that compute on a CPU
 * mirror   test/reference/clip.ts
 */
export function gradNormKernel({ first, last, clip, trees }: GradNorm): Kernel {
  return kernel(
    `grad_norm${trees ? '_tree' : ''}${first ? '_first' : ''}${last ? '_last' : ''}${clip ? '_clip' : ''}`,
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
${trees ? treeHead : flatHead}
  var a = vec4f(0.0);
  var b = vec4f(0.0);
  var c = vec4f(0.0);
  var d = vec4f(0.0);
  for (var at = first; at < end; at += 4u * stride) {
    a += term(at);
    b += term(at + stride);
    c += term(at + 2u * stride);
    d += term(at + 3u * stride);
  }
  var sum = (a + b) + (c + d);
#if ${trees}
  ${lanes.merge()}
  if (lane > 0u) { return; }
#endif
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
