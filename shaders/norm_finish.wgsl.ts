import { type Kernel, kernel } from '../engine/kernel.ts';
import { momentsTree, sumsTree } from './shared/lane_trees.ts';
import { momentsType } from './shared/moments.ts';
import { wgsl } from './shared/wgsl.ts';

/** Invocations that share one vec4 of channels; a power of two. */
export const NORM_FINISH_LANES = 256;

const main = wgsl`
@compute @workgroup_size(${NORM_FINISH_LANES})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
`;

/**
 * norm_finish: norm_merge of all chunks and norm_finalise of instance norm in one dispatch, for GPUs.
 *
 * layout   moments [samples, chunks, {mean, M2, count}, C] to stats [samples, {mean, rstd}, C]; zeros behind the last channel
 * owns     a workgroup: one vec4 of channels of one sample, so that as many read as can. A lane merges every ${NORM_FINISH_LANES}th chunk, four of
 *          them on their own so that loads overlap, then the lanes merge pairwise (Chan, Golub and LeVeque 1983)
 * cost     one read of the moments; ${Math.log2(NORM_FINISH_LANES)} barriers, so no kernel for adapters that compute on a CPU
 * mirror   test/reference/norm.ts
 */
export function normFinishKernel(): Kernel {
  const lanes = momentsTree(NORM_FINISH_LANES);
  return kernel(
    'norm_finish',
    wgsl`
struct Params { pitch: u32, chunks: u32, channels: u32, eps: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> moments: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> stats: array<vec4f>;
${momentsType}
${lanes.memory}
fn chunk(first: u32, k: u32) -> Moments {
  if (k >= p.chunks) { return Moments(vec4f(0.0), vec4f(0.0), 0.0); }
  let at = first + k * 3u * p.pitch;
  return Moments(moments[at], moments[at + p.pitch], moments[at + 2u * p.pitch].x);
}
${main}
  let c = group.x;
  let n = group.y;
  let first = n * p.chunks * 3u * p.pitch + c;
  var m0 = chunk(first, lane);
  var m1 = chunk(first, lane + ${NORM_FINISH_LANES}u);
  var m2 = chunk(first, lane + ${2 * NORM_FINISH_LANES}u);
  var m3 = chunk(first, lane + ${3 * NORM_FINISH_LANES}u);
  for (var k = lane + ${4 * NORM_FINISH_LANES}u; k < p.chunks; k += ${4 * NORM_FINISH_LANES}u) {
    m0 = merge(m0, chunk(first, k));
    m1 = merge(m1, chunk(first, k + ${NORM_FINISH_LANES}u));
    m2 = merge(m2, chunk(first, k + ${2 * NORM_FINISH_LANES}u));
    m3 = merge(m3, chunk(first, k + ${3 * NORM_FINISH_LANES}u));
  }
  var mine = merge(merge(m0, m1), merge(m2, m3));
  ${lanes.merge()}
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

/**
 * norm_grad_finish: norm_grad_merge of all chunks, norm_grad_finalise and norm_grad_affine of a norm without groups in one
 * dispatch, for GPUs.
 *
 * layout   sums [samples, chunks, {g, g n}, C], stats [samples, {mean, rstd}, C] to coefficients [samples, 2, C], dgamma,
 *          dbeta [C]
 * owns     a workgroup: one vec4 of channels of all samples at once. Of each `width` lanes (a power of two, at least the samples)
 *          every one has a sample; it adds up every (${NORM_FINISH_LANES} / width)th chunk, then the lanes of a sample add up pairwise
 * cost     one read of the sums; ${Math.log2(NORM_FINISH_LANES) + 1} barriers at most
 * mirror   test/reference/norm.ts
 */
export function normGradFinishKernel(form: NormGradFinish): Kernel {
  const lanes = sumsTree(NORM_FINISH_LANES);
  return kernel(
    `norm_grad_finish${form.gamma ? '_gamma' : ''}`,
    wgsl`
struct Params { pitch: u32, chunks: u32, samples: u32, voxels: u32, width: u32 }
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
${lanes.memory}
${main}
  let c = group.x;
  let n = lane % p.width;
  let end = select(0u, p.chunks, n < p.samples);
  var sum = vec4f(0.0);
  var dot = vec4f(0.0);
  for (var k = lane / p.width; k < end; k += ${NORM_FINISH_LANES}u / p.width) {
    let at = (n * p.chunks + k) * 2u * p.pitch + c;
    sum += sums[at];
    dot += sums[at + p.pitch];
  }
  ${lanes.merge('p.width')}
  #if ${form.coefficients}
  if (lane < p.samples) {
    let row = 2u * n * p.pitch + c;
    #if ${form.gamma}
    let scale = gamma[c] * stats[row + p.pitch] / f32(p.voxels);
    #else
    let scale = stats[row + p.pitch] / f32(p.voxels);
    #endif
    coefficients[row] = scale * sum;
    coefficients[row + p.pitch] = scale * dot;
  }
  #endif
  workgroupBarrier();
  if (lane == 0u) {
    for (var other = 1u; other < p.samples; other++) {
      sum += lane_sums[other];
      dot += lane_dots[other];
    }
    #if ${form.dgamma}
    dgamma[c] = dot;
    #endif
    #if ${form.dbeta}
    dbeta[c] = sum;
    #endif
  }
}
`,
  );
}
