import { type Kernel, kernel } from '../engine/kernel.ts';
import { activationFunctions } from './activation.wgsl.ts';
import { affineFunction, affineLoad, applyLoop, applyVoxels, formName, type NormForm } from './norm.wgsl.ts';
import { CHUNK_LANES, chunkMain, chunkMerge, chunkParams, chunkResult } from './shared/chunks.ts';
import { sumsTree } from './shared/lane_trees.ts';
import { flatIndex, flatMain, wgsl } from './shared/wgsl.ts';

/** `through(dy, normal, gain, shift)`: the gradient in front of the activation, which is recomputed. */
const throughActivation = (form: NormForm) =>
  form.activation === 'none'
    ? ''
    : wgsl`
${affineFunction(form)}
${activationFunctions(form.activation)}
fn through(dy: vec4f, normal: vec4f, gain: vec4f, shift: vec4f) -> vec4f {
  return dy * activate_grad(affine(normal, gain, shift), p.slope);
}
`;

/** Its call, or just the gradient where there is no activation. Wants affineLoad before it. */
const through = (form: NormForm, dy: string, normal: string) =>
  form.activation === 'none' ? dy : `through(${dy}, ${normal}, gain, shift)`;

const writeSums = wgsl`
  let to = 2u * (n * p.chunks + k) * p.pitch + c;
  sums[to] = sum;
  sums[to + p.pitch] = dot;`;

/**
 * norm_grad_partial: with g the gradient in front of the activation and n = (x - mean) rstd, sum g and sum g n of each
 * chunk of voxels, channel by channel.
 *
 * layout   x, dy [samples, voxels, C], stats [samples, {mean, rstd}, C], sums [samples, chunks, {g, g n}, C]
 * owns     as norm_partial: an invocation or, with `trees`, for GPUs, a workgroup has a chunk (shared/chunks.ts)
 * cost     one read of x and dy, memory bound
 * mirror   test/reference/norm.ts
 */
export function normGradPartialKernel(form: NormForm, { trees = false } = {}): Kernel {
  const lanes = sumsTree(CHUNK_LANES);
  return kernel(
    `norm_grad_partial${trees ? '_tree' : ''}${formName(form)}`,
    wgsl`
struct Params { ${chunkParams(trees)} slope: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> stats: array<vec4f>;
@group(0) @binding(3) var<storage, read> dy: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> sums: array<vec4f>;
${throughActivation(form)}
#if ${trees}
${lanes.memory}
#endif
${chunkMain(trees)}
  let mean = stats[2u * n * p.pitch + c];
  let rstd = stats[(2u * n + 1u) * p.pitch + c];
  let stride = p.lanes * p.pitch;
  ${form.activation === 'none' ? '' : affineLoad(form)}
  var source = (n * p.voxels + first) * p.pitch + c;
  var sum = vec4f(0.0);
  var dot = vec4f(0.0);
  var j = 0u;
  for (; j + 4u <= size; j += 4u) {
    let n0 = (x[source] - mean) * rstd;
    let n1 = (x[source + stride] - mean) * rstd;
    let n2 = (x[source + 2u * stride] - mean) * rstd;
    let n3 = (x[source + 3u * stride] - mean) * rstd;
    let g0 = ${through(form, 'dy[source]', 'n0')};
    let g1 = ${through(form, 'dy[source + stride]', 'n1')};
    let g2 = ${through(form, 'dy[source + 2u * stride]', 'n2')};
    let g3 = ${through(form, 'dy[source + 3u * stride]', 'n3')};
    sum += (g0 + g1) + (g2 + g3);
    dot += (g0 * n0 + g1 * n1) + (g2 * n2 + g3 * n3);
    source += 4u * stride;
  }
  for (; j < size; j++) {
    let normal = (x[source] - mean) * rstd;
    let g = ${through(form, 'dy[source]', 'normal')};
    sum += g;
    dot += g * normal;
    source += stride;
  }
  ${chunkResult(trees, lanes.merge, writeSums)}
}
`,
  );
}

/**
 * norm_grad_merge: adds up to `fan` neighbouring chunks.
 *
 * layout   [samples, chunks, 2, C] to [samples, merged, 2, C]; one invocation a (sample, merged chunk, vec4)
 */
export function normGradMergeKernel(): Kernel {
  return kernel(
    'norm_grad_merge',
    chunkMerge(
      2,
      'var sum = vec4f(0.0); var dot = vec4f(0.0);',
      'sum += x[source]; dot += x[source + p.pitch];',
      'y[to] = sum; y[to + p.pitch] = dot;',
    ),
  );
}

/**
 * norm_grad_finalise: what norm_grad_apply subtracts, rstd mean(gamma g) and rstd mean(gamma g n), means over the
 * voxels and the `size` channels of the group.
 *
 * layout   sums [samples, {g, g n}, C], stats [samples, {mean, rstd}, C] to coefficients [samples, 2, C], scalars; one
 *          invocation a (sample, channel), which reads its whole group; zeros behind the last channel
 */
export function normGradFinaliseKernel(gamma: boolean): Kernel {
  return kernel(
    `norm_grad_finalise${gamma ? '_gamma' : ''}`,
    wgsl`
struct Params { count: u32, pitch: u32, channels: u32, size: u32, voxels: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> sums: array<f32>;
@group(0) @binding(2) var<storage, read> stats: array<f32>;
@group(0) @binding(3) var<storage, read_write> coefficients: array<f32>;
#if ${gamma}
@group(0) @binding(4) var<storage, read> gamma: array<f32>;
#endif
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  let c = i % p.pitch;
  let row = 2u * (i - c);
  if (c >= p.channels) {
    coefficients[row + c] = 0.0;
    coefficients[row + p.pitch + c] = 0.0;
    return;
  }
  let first = c / p.size * p.size;
  var sum = 0.0;
  var dot = 0.0;
  for (var j = first; j < first + p.size; j++) {
#if ${gamma}
    sum += gamma[j] * sums[row + j];
    dot += gamma[j] * sums[row + p.pitch + j];
#else
    sum += sums[row + j];
    dot += sums[row + p.pitch + j];
#endif
  }
  let scale = stats[row + p.pitch + c] / (f32(p.voxels) * f32(p.size));
  coefficients[row + c] = scale * sum;
  coefficients[row + p.pitch + c] = scale * dot;
}
`,
  );
}

/**
 * norm_grad_affine: the gradient of beta (row 0: sum g) or gamma (row 1: sum g n), summed over the samples.
 *
 * layout   sums [samples, {g, g n}, C] to [C]; one invocation a vec4
 */
export function normGradAffineKernel(): Kernel {
  return kernel(
    'norm_grad_affine',
    wgsl`
struct Params { pitch: u32, samples: u32, row: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> sums: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> gradient: array<vec4f>;
${flatIndex}
${flatMain}
  if (i >= p.pitch) { return; }
  var sum = vec4f(0.0);
  for (var n = 0u; n < p.samples; n++) { sum += sums[(2u * n + p.row) * p.pitch + i]; }
  gradient[i] = sum;
}
`,
  );
}

/**
 * norm_grad_apply: dx = gamma rstd g - coefficient_0 - coefficient_1 n, n and the activation recomputed from x. With
 * `constant` statistics (batch norm in eval mode) only the first term is left.
 *
 * layout   x, dy, dx [samples, voxels, C], stats and coefficients [samples, 2, C], gamma, beta [C]; one invocation a vec4
 * cost     48 bytes an invocation, memory bound
 * mirror   test/reference/norm.ts
 */
export function normGradApplyKernel(form: NormForm, constant: boolean): Kernel {
  const gammaAlone = form.gamma && form.activation === 'none';
  return kernel(
    `norm_grad_apply${formName(form)}${constant ? '_constant' : ''}`,
    wgsl`
struct Params { count: u32, voxels: u32, lanes: u32, pitch: u32, slope: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> stats: array<vec4f>;
@group(0) @binding(3) var<storage, read> dy: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> dx: array<vec4f>;
#if ${!constant}
@group(0) @binding(5) var<storage, read> coefficients: array<vec4f>;
#endif
#if ${gammaAlone}
@group(0) @binding(6) var<storage, read> gamma: array<vec4f>;
#endif
${throughActivation(form)}
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
${applyLoop}
  let mean = stats[row];
  let rstd = stats[row + p.pitch];
  ${form.activation !== 'none' || form.gamma ? affineLoad(gammaAlone ? { ...form, beta: false } : form) : ''}
#if ${!constant}
  let offset = coefficients[row];
  let factor = coefficients[row + p.pitch];
#endif
  ${applyVoxels}
    let normal = (x[at] - mean) * rstd;
    var g = rstd * ${through(form, 'dy[at]', 'normal')};
#if ${form.gamma}
    g *= gain;
#endif
#if ${!constant}
    g -= offset + factor * normal;
#endif
    dx[at] = g;
  }
}
`,
  );
}
