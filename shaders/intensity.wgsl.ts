import { type Kernel, kernel } from '../engine/kernel.ts';
import { CHUNK_LANES, chunkMain, chunkParams, chunkResult } from './shared/chunks.ts';
import { momentsTree, rangeTree } from './shared/lane_trees.ts';
import { momentsChunkMerge, momentsType } from './shared/moments.ts';
import { random } from './shared/random.ts';
import { flatIndex, flatMain, wgsl } from './shared/wgsl.ts';

/** vec4s of one sample's row in the params tensor (engine/ops/intensity.ts packs them). */
export const INTENSITY_VEC4S = 2;

/** Rows of a set of moments: mean, sum of squared deviations, count, smallest, largest. */
export const MOMENTS = 5;

/**
 * A sample's row of the params is (contrast, brightness, gamma, noise), (sigma, 0, 0, 0); `row` its first vec4.
 *   contrasted(x, row, unit)          x (1 + contrast) + brightness, zero in the padding
 *   powered(v, row, unit, low, high)  ((v - low) / (high - low + 1e-6))^gamma, zero in the padding
 */
const pointFunctions = wgsl`
fn contrasted(x: vec4f, row: vec4f, unit: u32) -> vec4f {
  return channels_only(x * (1.0 + row.x) + row.y, unit);
}
fn powered(v: vec4f, row: vec4f, unit: u32, low: vec4f, high: vec4f) -> vec4f {
  let share = max(v - low, vec4f(0.0)) / (high - low + 1e-6);
  return channels_only(exp2(row.z * log2(max(share, vec4f(1e-30)))), unit);
}
`;

const paddingFunction = wgsl`
fn channels_only(v: vec4f, unit: u32) -> vec4f {
  return select(vec4f(0.0), v, vec4u(unit * 4u) + vec4u(0u, 1u, 2u, 3u) < vec4u(p.channels));
}
`;

/** `noise(i, sd, unit)`: four normals times a sample's noise, named by (seed, step, stream, index of the vec4). */
const noiseFunction = wgsl`
${random}
fn noise(i: u32, sd: f32, unit: u32) -> vec4f {
  if (sd <= 0.0) { return vec4f(0.0); }
  return channels_only(sd * normal4(pcg4d(vec4u(counters[0], counters[1], p.stream, i))), unit);
}
`;

const [MOMENTS_TREE, RANGE_TREE] = [momentsTree(CHUNK_LANES), rangeTree(CHUNK_LANES)];
/** Of `mine`, `lowest` and `highest`. */
const laneTree = {
  memory: MOMENTS_TREE.memory + RANGE_TREE.memory,
  merge: (last?: string) => MOMENTS_TREE.merge(last) + RANGE_TREE.merge(last),
};

/** Statements: a set of them, the `row`th of `to`. */
const writeMoments = (to: string, row: string) => wgsl`
  let to = (${row}) * ${MOMENTS}u * p.pitch + c;
  ${to}[to] = mine.mean;
  ${to}[to + p.pitch] = mine.m2;
  ${to}[to + 2u * p.pitch] = vec4f(mine.count);
  ${to}[to + 3u * p.pitch] = lowest;
  ${to}[to + 4u * p.pitch] = highest;`;

/**
 * intensity_moments: moments of each chunk of voxels, channel by channel, before gamma or (`power`) after it. Samples
 * without gamma are not read.
 *
 * layout   x [B, voxels, C], params [B, 2 vec4], before [B, 5, C], moments [B, chunks, 5, C]
 * owns     an invocation: a (sample, chunk, vec4 of channels), channels fastest; with `trees` a workgroup (shared/chunks.ts)
 * method   sums shifted by the first value, as norm_partial
 * cost     one read of x, memory bound
 * mirror   test/reference/intensity.ts
 */
export function intensityMomentsKernel({ power, trees }: { power: boolean; trees: boolean }): Kernel {
  return kernel(
    `intensity_moments${power ? '_power' : ''}${trees ? '_tree' : ''}`,
    wgsl`
struct Params { ${chunkParams(trees)} channels: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> params: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> moments: array<vec4f>;
#if ${power}
@group(0) @binding(4) var<storage, read> before: array<vec4f>;
#endif
${paddingFunction}
${pointFunctions}
${momentsType}
#if ${trees}
${laneTree.memory}
#endif
${chunkMain(trees)}
  let row = params[n * ${INTENSITY_VEC4S}u];
  let taken = select(0u, size, row.z > 0.0);
#if ${power}
  let low = before[(n * ${MOMENTS}u + 3u) * p.pitch + c];
  let high = before[(n * ${MOMENTS}u + 4u) * p.pitch + c];
#endif
  var shift = vec4f(0.0);
  var sum = vec4f(0.0);
  var squares = vec4f(0.0);
  var lowest = vec4f(3e38);
  var highest = vec4f(-3e38);
  for (var j = 0u; j < taken; j++) {
    var v = contrasted(x[(n * p.voxels + first + j * p.lanes) * p.pitch + c], row, c);
#if ${power}
    v = powered(v, row, c, low, high);
#endif
    if (j == 0u) { shift = v; }
    let d = v - shift;
    sum += d;
    squares += d * d;
    lowest = min(lowest, v);
    highest = max(highest, v);
  }
  let mean = sum / max(f32(taken), 1.0);
  var mine = Moments(shift + mean, max(squares - sum * mean, vec4f(0.0)), f32(taken));
  ${chunkResult(trees, laneTree.merge, writeMoments('moments', 'n * p.chunks + k'))}
}
`,
  );
}

/**
 * intensity_finish: the moments of all chunks of a sample merged in one dispatch, with the range; for GPUs.
 *
 * layout   x [B, chunks, 5, C] to y [B, 5, C]
 * owns     a workgroup: one vec4 of channels of one sample. A lane merges every ${CHUNK_LANES}th chunk, then the lanes merge pairwise
 * mirror   test/reference/intensity.ts
 */
export function intensityFinishKernel(): Kernel {
  return kernel(
    'intensity_finish',
    wgsl`
struct Params { pitch: u32, chunks: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;
${momentsType}
${laneTree.memory}
@compute @workgroup_size(${CHUNK_LANES})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let c = group.x;
  let n = group.y;
  var mine = Moments(vec4f(0.0), vec4f(0.0), 0.0);
  var lowest = vec4f(3e38);
  var highest = vec4f(-3e38);
  for (var k = lane; k < p.chunks; k += ${CHUNK_LANES}u) {
    let at = (n * p.chunks + k) * ${MOMENTS}u * p.pitch + c;
    mine = merge(mine, Moments(x[at], x[at + p.pitch], x[at + 2u * p.pitch].x));
    lowest = min(lowest, x[at + 3u * p.pitch]);
    highest = max(highest, x[at + 4u * p.pitch]);
  }
  ${laneTree.merge()}
  if (lane == 0u) {
    ${writeMoments('y', 'n')}
  }
}
`,
  );
}

/**
 * intensity_merge: merges up to `fan` neighbouring chunks into one, as norm_merge, with the range.
 *
 * layout   [B, chunks, 5, C] to [B, merged, 5, C]; one invocation a (sample, merged chunk, vec4)
 */
export function intensityMergeKernel(): Kernel {
  return kernel('intensity_merge', momentsChunkMerge({ range: true }));
}

/**
 * intensity_points: contrast, brightness, gamma with the channel's mean and standard deviation restored, and, where no blur
 * follows, noise.
 *
 * layout   x, y [B, voxels, C], params [B, 2 vec4], before and after gamma [B, 5, C]; one invocation a vec4
 * cost     32 bytes an invocation, memory bound; four normals where there is noise
 * mirror   test/reference/intensity.ts
 */
export function intensityPointsKernel(noise: boolean): Kernel {
  return kernel(
    noise ? 'intensity_points_noise' : 'intensity_points',
    wgsl`
struct Params { count: u32, voxels: u32, pitch: u32, channels: u32, stream: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> params: array<vec4f>;
@group(0) @binding(3) var<storage, read> before: array<vec4f>;
@group(0) @binding(4) var<storage, read> after: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> y: array<vec4f>;
${paddingFunction}
${pointFunctions}
#if ${noise}
@group(0) @binding(6) var<storage, read> counters: array<u32>;
${noiseFunction}
#endif
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  let c = i % p.pitch;
  let n = i / (p.pitch * p.voxels);
  let row = params[n * ${INTENSITY_VEC4S}u];
  var v = contrasted(x[i], row, c);
  if (row.z > 0.0) {
    let m = n * ${MOMENTS}u * p.pitch + c;
    let free = max(f32(p.voxels) - 1.0, 1.0);
    let sd_before = sqrt(before[m + p.pitch] / free);
    let sd_after = sqrt(after[m + p.pitch] / free);
    let power = powered(v, row, c, before[m + 3u * p.pitch], before[m + 4u * p.pitch]);
    v = channels_only((power - after[m]) / (sd_after + 1e-6) * sd_before + before[m], c);
  }
#if ${noise}
  v += noise(i, row.w, c);
#endif
  y[i] = v;
}
`,
  );
}

/**
 * intensity_blur: Gaussian of radius 3 along one axis, edges repeated; noise after the last axis. Samples of sigma 0 are
 * copied.
 *
 * layout   x, y [B, voxels, C]; neighbours along the axis lie `stride` vec4 apart; one invocation a vec4
 * cost     seven loads, mostly from cache, and one store; memory bound
 * mirror   test/reference/intensity.ts
 */
export function intensityBlurKernel(noise: boolean): Kernel {
  return kernel(
    noise ? 'intensity_blur_noise' : 'intensity_blur',
    wgsl`
struct Params { count: u32, voxels: u32, pitch: u32, channels: u32, stream: u32, extent: u32, stride: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> params: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;
#if ${noise}
@group(0) @binding(4) var<storage, read> counters: array<u32>;
${paddingFunction}
${noiseFunction}
#endif
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  let n = i / (p.pitch * p.voxels);
  var v = x[i];
  let sigma = params[n * ${INTENSITY_VEC4S}u + 1u].x;
  if (sigma > 0.0) {
    let at = i / p.stride % p.extent;
    let line = i - at * p.stride;
    let far = p.extent - 1u;
    let e = -0.5 / max(sigma * sigma, 1e-6);
    let w = vec3f(exp(e), exp(4.0 * e), exp(9.0 * e));
    let one = x[line + (max(at, 1u) - 1u) * p.stride] + x[line + min(at + 1u, far) * p.stride];
    let two = x[line + (max(at, 2u) - 2u) * p.stride] + x[line + min(at + 2u, far) * p.stride];
    let three = x[line + (max(at, 3u) - 3u) * p.stride] + x[line + min(at + 3u, far) * p.stride];
    v = (v + w.x * one + w.y * two + w.z * three) / (1.0 + 2.0 * (w.x + w.y + w.z));
  }
#if ${noise}
  v += noise(i, params[n * ${INTENSITY_VEC4S}u].w, i % p.pitch);
#endif
  y[i] = v;
}
`,
  );
}
