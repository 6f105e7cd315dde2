import { type Kernel, kernel } from '../engine/kernel.ts';
import { sumTree } from './shared/lane_trees.ts';
import { stridedSum } from './shared/strided_sum.ts';
import { wgsl } from './shared/wgsl.ts';

/** Invocations of a workgroup; a power of two. */
export const COLUMN_TREE_LANES = 256;

const lanes = sumTree(COLUMN_TREE_LANES);

/**
 * column_tree: y[group, chunk, c] = factor * sum of x[group, row, c] over the `length` rows of a chunk, fewer in the last; for
 * GPUs. Applied again to its own output, as one chunk, it ends in one row a group.
 *
 * layout   x [groups * rows, pitch vec4], y [groups * chunks, pitch vec4]
 * owns     a workgroup: `width` (a power of two) vec4 of one chunk of one group. Neighbouring lanes hold neighbouring vec4, each
 *          adds up every (${COLUMN_TREE_LANES} / width)th row of the chunk, then the lanes of one vec4 add up pairwise
 * cost     16 bytes read a row; ${Math.log2(COLUMN_TREE_LANES)} barriers at most, so no kernel for adapters that compute on a CPU
 * total    the four channels of a one-vec4 row added up too (sum of everything)
 * mirror   test/reference/reduce.ts
 */
export function columnTreeKernel(total: boolean): Kernel {
  return kernel(
    total ? 'total_tree' : 'column_tree',
    wgsl`
struct Params { rows: u32, length: u32, chunks: u32, pitch: u32, width: u32, factor: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;
${lanes.memory}
${stridedSum()}
@compute @workgroup_size(${COLUMN_TREE_LANES})
fn main(@builtin(workgroup_id) at: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let unit = at.y * p.width + lane % p.width;
  let first = at.x * p.length;
  let end = min(first + p.length, p.rows);
  var sum = vec4f(0.0);
  if (unit < p.pitch) {
    sum = strided_sum(at.z * p.rows * p.pitch + unit, first + lane / p.width, end, ${COLUMN_TREE_LANES}u / p.width);
  }
  ${lanes.merge('p.width')}
  if (lane < p.width && unit < p.pitch) {
    let to = (at.z * p.chunks + at.x) * p.pitch + unit;
#if ${total}
    y[to] = vec4f(p.factor * ((sum.x + sum.y) + (sum.z + sum.w)), 0.0, 0.0, 0.0);
#else
    y[to] = p.factor * sum;
#endif
  }
}
`,
  );
}
