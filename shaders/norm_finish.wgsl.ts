import { type Kernel, kernel } from '../engine/kernel.ts';
import { momentsType } from './shared/moments.ts';
import { tree } from './shared/tree.ts';
import { wgsl } from './shared/wgsl.ts';

/** Invocations that share one vec4 of channels; a power of two. */
const LANES = 64;

const main = wgsl`
@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
`;

const mergeMoments = wgsl`
      let other = lane + stride;
      mine = merge(mine, Moments(shared_mean[other], shared_m2[other], shared_count[other]));
      shared_mean[lane] = mine.mean;
      shared_m2[lane] = mine.m2;
      shared_count[lane] = mine.count;
`;

/**
 * norm_finish: norm_merge of all chunks and norm_finalise of instance norm in one dispatch, for GPUs.
 *
 * layout   moments [samples, chunks, {mean, M2, count}, C] to stats [samples, {mean, rstd}, C]; zeros behind the last channel
 * owns     a workgroup: one vec4 of channels of one sample. A lane merges every ${LANES}th chunk, then the lanes merge pairwise
 *          (Chan, Golub and LeVeque 1983)
 * cost     one read of the moments; ${Math.log2(LANES)} barriers, so no kernel for adapters that compute on a CPU
 * mirror   test/reference/norm.ts
 */
export function normFinishKernel(): Kernel {
  return kernel(
    'norm_finish',
    wgsl`
struct Params { pitch: u32, chunks: u32, channels: u32, eps: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> moments: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> stats: array<vec4f>;
${momentsType}
var<workgroup> shared_mean: array<vec4f, ${LANES}>;
var<workgroup> shared_m2: array<vec4f, ${LANES}>;
var<workgroup> shared_count: array<f32, ${LANES}>;
${main}
  let c = group.x;
  let n = group.y;
  var mine = Moments(vec4f(0.0), vec4f(0.0), 0.0);
  for (var k = lane; k < p.chunks; k += ${LANES}u) {
    let at = (n * p.chunks + k) * 3u * p.pitch + c;
    mine = merge(mine, Moments(moments[at], moments[at + p.pitch], moments[at + 2u * p.pitch].x));
  }
  shared_mean[lane] = mine.mean;
  shared_m2[lane] = mine.m2;
  shared_count[lane] = mine.count;
  ${tree(LANES, mergeMoments)}
  if (lane == 0u) {
    let channel = vec4u(c * 4u) + vec4u(0u, 1u, 2u, 3u);
    let real = channel < vec4u(p.channels);
    let to = 2u * n * p.pitch + c;
    stats[to] = select(vec4f(0.0), mine.mean, real);
    stats[to + p.pitch] = select(vec4f(0.0), inverseSqrt(mine.m2 / max(mine.count, 1.0) + p.eps), real);
  }
}
`,
  );
}

/** Which gradients norm_grad_finish writes. */
export interface NormGradFinish {
  /** Coefficients for dx. */
  coefficients: boolean;
  gamma: boolean;
  dgamma: boolean;
  dbeta: boolean;
}

const addSums = wgsl`
        sum += shared_sum[lane + stride];
        dot += shared_dot[lane + stride];
        shared_sum[lane] = sum;
        shared_dot[lane] = dot;
`;

/**
 * norm_grad_finish: norm_grad_merge of all chunks, norm_grad_finalise and norm_grad_affine of a norm without groups in one
 * dispatch, for GPUs.
 *
 * layout   sums [samples, chunks, {g, g n}, C], stats [samples, {mean, rstd}, C] to coefficients [samples, 2, C], dgamma,
 *          dbeta [C]
 * owns     a workgroup: one vec4 of channels of all samples, one after the other
 * cost     one read of the sums; ${Math.log2(LANES)} barriers a sample
 * mirror   test/reference/norm.ts
 */
export function normGradFinishKernel(form: NormGradFinish): Kernel {
  return kernel(
    `norm_grad_finish${form.gamma ? '_gamma' : ''}`,
    wgsl`
struct Params { pitch: u32, chunks: u32, samples: u32, voxels: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> sums: array<vec4f>;
@group(0) @binding(2) var<storage, read> stats: array<vec4f>;
#if ${form.coefficients}
@group(0) @binding(3) var<storage, read_write> coefficients: array<vec4f>;
#if ${form.gamma}
@group(0) @binding(4) var<storage, read> gamma: array<vec4f>;
#endif
#endif
#if ${form.dgamma}
@group(0) @binding(5) var<storage, read_write> dgamma: array<vec4f>;
#endif
#if ${form.dbeta}
@group(0) @binding(6) var<storage, read_write> dbeta: array<vec4f>;
#endif
var<workgroup> shared_sum: array<vec4f, ${LANES}>;
var<workgroup> shared_dot: array<vec4f, ${LANES}>;
${main}
  let c = group.x;
  var all_sum = vec4f(0.0);
  var all_dot = vec4f(0.0);
  for (var n = 0u; n < p.samples; n++) {
    var sum = vec4f(0.0);
    var dot = vec4f(0.0);
    for (var k = lane; k < p.chunks; k += ${LANES}u) {
      let at = (n * p.chunks + k) * 2u * p.pitch + c;
      sum += sums[at];
      dot += sums[at + p.pitch];
    }
    workgroupBarrier();
    shared_sum[lane] = sum;
    shared_dot[lane] = dot;
    ${tree(LANES, addSums)}
    if (lane == 0u) {
      all_sum += sum;
      all_dot += dot;
      let row = 2u * n * p.pitch + c;
      #if ${form.coefficients}
      #if ${form.gamma}
      let scale = gamma[c] * stats[row + p.pitch] / f32(p.voxels);
      #else
      let scale = stats[row + p.pitch] / f32(p.voxels);
      #endif
      coefficients[row] = scale * sum;
      coefficients[row + p.pitch] = scale * dot;
      #endif
    }
  }
  if (lane == 0u) {
    #if ${form.dgamma}
    dgamma[c] = all_dot;
    #endif
    #if ${form.dbeta}
    dbeta[c] = all_sum;
    #endif
  }
}
`,
  );
}
