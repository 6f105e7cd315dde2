import { type Kernel, kernel } from '../engine/kernel.ts';
import { type Activation, activationFunctions } from './activation.wgsl.ts';
import { CHUNK_LANES, chunkMain, chunkParams, chunkResult } from './shared/chunks.ts';
import { momentsTree } from './shared/lane_trees.ts';
import { momentsChunkMerge, momentsType } from './shared/moments.ts';
import { flatIndex, flatMain, wgsl } from './shared/wgsl.ts';

/** What a kernel that recomputes the output of a norm has to know about it. */
export interface NormForm {
  gamma: boolean;
  beta: boolean;
  activation: Activation | 'none';
}

const writeMoments = wgsl`
  let to = 3u * (n * p.chunks + k) * p.pitch + c;
  moments[to] = mine.mean;
  moments[to + p.pitch] = mine.m2;
  moments[to + 2u * p.pitch] = vec4f(mine.count);`;

/**
 * norm_partial: mean, sum of squared deviations and count of each chunk of voxels, channel by channel; with `summed`, of y, the
 * sum of the parts that x holds one after the other, which is written on the way.
 *
 * layout   x [samples, voxels, C], or [parts, samples, voxels, C] and y; moments [samples, chunks, {mean, M2, count}, C]
 * owns     an invocation: a (sample, chunk, vec4 of channels), channels fastest; with `trees`, for GPUs, a workgroup a (sample, chunk,
 *          some vec4), whose lanes merge what they have pairwise (shared/chunks.ts)
 * method   sums shifted by the first value: M2 = sum d^2 - (sum d)^2 / n with d = x - x_first loses at most a factor n of
 *          precision, n the voxels of an invocation, whatever the mean (Chan, Golub and LeVeque 1983, "Algorithms for Computing
 *          the Sample Variance")
 * cost     one read of x, memory bound
 * mirror   test/reference/norm.ts
 */
export function normPartialKernel({ summed = false, trees = false } = {}): Kernel {
  const lanes = momentsTree(CHUNK_LANES);
  return kernel(
    `norm_partial${summed ? '_summed' : ''}${trees ? '_tree' : ''}`,
    wgsl`
struct Params {
  ${chunkParams(trees)}
#if ${summed}
  parts: u32, part_length: u32,
#endif
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> moments: array<vec4f>;
#if ${summed}
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;
#endif
fn four_of_part(at: u32, stride: u32) -> mat4x4f {
  return mat4x4f(x[at], x[at + stride], x[at + 2u * stride], x[at + 3u * stride]);
}
#if ${summed}
fn value(at: u32) -> vec4f {
  var sum = x[at];
  for (var part = 1u; part < p.parts; part++) { sum += x[part * p.part_length + at]; }
  y[at] = sum;
  return sum;
}
fn four(at: u32, stride: u32) -> mat4x4f {
  var sum = four_of_part(at, stride);
  for (var part = 1u; part < p.parts; part++) { sum += four_of_part(part * p.part_length + at, stride); }
  y[at] = sum[0];
  y[at + stride] = sum[1];
  y[at + 2u * stride] = sum[2];
  y[at + 3u * stride] = sum[3];
  return sum;
}
#else
fn value(at: u32) -> vec4f { return x[at]; }
fn four(at: u32, stride: u32) -> mat4x4f { return four_of_part(at, stride); }
#endif
${momentsType}
#if ${trees}
${lanes.memory}
#endif
${chunkMain(trees)}
  let stride = p.lanes * p.pitch;
  var source = (n * p.voxels + first) * p.pitch + c;
  var shift = vec4f(0.0);
  var sum = vec4f(0.0);
  var squares = vec4f(0.0);
  var j = 0u;
  for (; j + 4u <= size; j += 4u) {
    let v = four(source, stride);
    if (j == 0u) { shift = v[0]; }
    let d0 = v[0] - shift;
    let d1 = v[1] - shift;
    let d2 = v[2] - shift;
    let d3 = v[3] - shift;
    sum += (d0 + d1) + (d2 + d3);
    squares += (d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3);
    source += 4u * stride;
  }
  for (; j < size; j++) {
    let v = value(source);
    if (j == 0u) { shift = v; }
    let d = v - shift;
    sum += d;
    squares += d * d;
    source += stride;
  }
  let mean = sum / max(f32(size), 1.0);
  var mine = Moments(shift + mean, max(squares - sum * mean, vec4f(0.0)), f32(size));
  ${chunkResult(trees, lanes.merge, writeMoments)}
}
`,
  );
}

/**
 * norm_merge: merges up to `fan` neighbouring chunks into one (shared/moments.ts).
 *
 * layout   [samples, chunks, 3, C] to [samples, merged, 3, C]; one invocation a (sample, merged chunk, vec4)
 */
export function normMergeKernel(): Kernel {
  return kernel('norm_merge', momentsChunkMerge());
}

/**
 * norm_finalise: mean and 1 / sqrt(variance + eps) of each channel, shared by the `size` channels of its group.
 *
 * layout   moments [samples, 3, C] to stats [samples, {mean, rstd}, C], scalars; one invocation a (sample, channel),
 *          which reads its whole group; zeros behind the last channel
 */
export function normFinaliseKernel(): Kernel {
  return kernel(
    'norm_finalise',
    wgsl`
struct Params { count: u32, pitch: u32, channels: u32, size: u32, eps: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> moments: array<f32>;
@group(0) @binding(2) var<storage, read_write> stats: array<f32>;
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  let c = i % p.pitch;
  let to = 2u * (i - c) + c;
  if (c >= p.channels) {
    stats[to] = 0.0;
    stats[to + p.pitch] = 0.0;
    return;
  }
  let first = 3u * (i - c) + c / p.size * p.size;
  let voxels = moments[first + 2u * p.pitch];
  let shift = moments[first];
  var sum = 0.0;
  var squares = 0.0;
  var m2 = 0.0;
  for (var j = first; j < first + p.size; j++) {
    let d = moments[j] - shift;
    sum += d;
    squares += d * d;
    m2 += moments[j + p.pitch];
  }
  let mean = sum / f32(p.size);
  let variance = m2 / (voxels * f32(p.size)) + max(squares / f32(p.size) - mean * mean, 0.0);
  stats[to] = shift + mean;
  stats[to + p.pitch] = 1.0 / sqrt(variance + p.eps);
}
`,
  );
}

/**
 * norm_apply: y = f(gamma (x - mean) rstd + beta), f an activation or nothing.
 *
 * layout   x, y [samples, voxels, C], stats [samples, {mean, rstd}, C], gamma, beta [C]; one invocation a vec4 of channels of
 *          APPLY_VOXELS voxels, `lanes` apart
 * cost     32 bytes a vec4, memory bound
 * mirror   test/reference/norm.ts
 */
export function normApplyKernel(form: NormForm): Kernel {
  return kernel(
    `norm_apply${formName(form)}`,
    wgsl`
struct Params { count: u32, voxels: u32, lanes: u32, pitch: u32, slope: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> stats: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;
${affineFunction(form)}
#if ${form.activation !== 'none'}
${activationFunctions(form.activation === 'none' ? 'leaky_relu' : form.activation)}
#endif
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
${applyLoop}
  let mean = stats[row];
  let rstd = stats[row + p.pitch];
  ${affineLoad(form)}
  ${applyVoxels}
    let z = affine((x[at] - mean) * rstd, gain, shift);
#if ${form.activation !== 'none'}
    y[at] = activate(z, p.slope);
#else
    y[at] = z;
#endif
  }
}
`,
  );
}

/** `affine(normal, gain, shift)` = gain normal + shift; bindings 6 and 7. Use with affineLoad. */
export const affineFunction = ({ gamma, beta }: NormForm) => wgsl`
#if ${gamma}
@group(0) @binding(6) var<storage, read> gamma: array<vec4f>;
#endif
#if ${beta}
@group(0) @binding(7) var<storage, read> beta: array<vec4f>;
#endif
fn affine(normal: vec4f, gain: vec4f, shift: vec4f) -> vec4f { return fma(normal, gain, shift); }
`;

/** `gain` and `shift` of channel vec4 `c`, loaded once for all voxels of an invocation. */
export const affineLoad = ({ gamma, beta }: NormForm) =>
  `let gain = ${gamma ? 'gamma[c]' : 'vec4f(1.0)'}; let shift = ${beta ? 'beta[c]' : 'vec4f(0.0)'};`;

/** Voxels of one invocation of the apply kernels: what it reads per channel is shared by so many. */
export const APPLY_VOXELS = 4;

/** Head of the apply kernels: `c`, `n`, and a loop over this invocation's voxels that sets `at`; close it with `}`. */
export const applyLoop = wgsl`
  let c = i % p.pitch;
  let first = (i / p.pitch) % p.lanes;
  let n = i / (p.pitch * p.lanes);
  let row = 2u * n * p.pitch + c;
`;
export const applyVoxels = wgsl`
  for (var k = 0u; k < ${APPLY_VOXELS}u; k++) {
    let voxel = first + k * p.lanes;
    if (voxel >= p.voxels) { break; }
    let at = (n * p.voxels + voxel) * p.pitch + c;
`;

export function formName({ gamma, beta, activation }: NormForm): string {
  return `${gamma ? '_gamma' : ''}${beta ? '_beta' : ''}${activation === 'none' ? '' : `_${activation}`}`;
}
