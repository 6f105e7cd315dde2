import { type Kernel, kernel } from '../engine/kernel.ts';
import { flatIndex, flatMain, wgsl } from './shared/wgsl.ts';

/**
 * norm_running: running <- (1 - momentum) running + momentum batch, the variance unbiased (M2 / (n - 1)).
 *
 * layout   moments [1, {mean, M2, count}, C], mean, variance [C]; one invocation a vec4, which owns it in both
 * mirror   test/reference/norm.ts batchNormRunning
 */
export function normRunningKernel(): Kernel {
  return kernel(
    'norm_running',
    wgsl`
struct Params { pitch: u32, momentum: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> moments: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> mean: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> variance: array<vec4f>;
${flatIndex}
${flatMain}
  if (i >= p.pitch) { return; }
  let unbiased = moments[i + p.pitch] / max(moments[i + 2u * p.pitch] - 1.0, vec4f(1.0));
  mean[i] = mix(mean[i], moments[i], vec4f(p.momentum));
  variance[i] = mix(variance[i], unbiased, vec4f(p.momentum));
}
`,
  );
}

/**
 * norm_constant: the statistics of batch norm in eval mode, from the running ones.
 *
 * layout   mean, variance [C] to stats [1, {mean, rstd}, C], scalars; one invocation a channel; zeros behind the last
 */
export function normConstantKernel(): Kernel {
  return kernel(
    'norm_constant',
    wgsl`
struct Params { pitch: u32, channels: u32, eps: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> mean: array<f32>;
@group(0) @binding(2) var<storage, read> variance: array<f32>;
@group(0) @binding(3) var<storage, read_write> stats: array<f32>;
${flatIndex}
${flatMain}
  if (i >= p.pitch) { return; }
  stats[i] = select(0.0, mean[i], i < p.channels);
  stats[i + p.pitch] = select(0.0, 1.0 / sqrt(max(variance[i], 0.0) + p.eps), i < p.channels);
}
`,
  );
}
