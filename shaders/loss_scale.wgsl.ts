import { type Kernel, kernel } from '../engine/kernel.ts';
import { clipFactor } from './shared/clip.ts';
import { repeat, wgsl } from './shared/wgsl.ts';

/** Bounds of the scale: at the lower one an overflow is no matter of scaling; Apex has the upper one too. */
export const LEAST_SCALE = 1;
export const MOST_SCALE = 2 ** 24;

/**
 * loss_scale: judges the norms of scaled gradients. All finite: each clip is (norm / scale, clip factor / scale), and the scale
 * doubles after `interval` such steps. Else each clip is (0, 0), which has the optimisers skip the step, and the scale is halved;
 * at the least scale the clips are (norm as it is, 0). torch.amp.GradScaler's unscale_, step and update.
 *
 * Norms come as bits, as WGSL lets an implementation assume that no float is a NaN (non_finite).
 *
 * layout   a norm and a clip in one vec4 each; scale (scale, 0, 0, 0); steps (skipped, good since the scale changed, 0, 0)
 * owns     everything: one invocation
 * cost     launch only
 * mirror   test/reference/loss_scale.ts
 */
export function lossScaleKernel(norms: number): Kernel {
  const each = (line: (i: number) => string) => repeat(norms, line);
  return kernel(
    'loss_scale',
    wgsl`
struct Params { interval: f32, max_norm: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> scale: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> steps: array<vec4f>;
${each((i) => `@group(0) @binding(${3 + 2 * i}) var<storage, read> norm${i}: array<vec4u>;`)}
${each((i) => `@group(0) @binding(${4 + 2 * i}) var<storage, read_write> clip${i}: array<vec4u>;`)}
${clipFactor}
fn is_finite(bits: u32) -> bool { return (bits & 0x7f800000u) != 0x7f800000u; }

fn unscaled(bits: u32, s: f32) -> vec4u {
  let norm = bitcast<f32>(bits) / s;
  return vec4u(bitcast<u32>(norm), bitcast<u32>(clip_factor(norm) / s), 0u, 0u);
}

@compute @workgroup_size(1)
fn main() {
  let s = scale[0].x;
  var finite = true;
${each((i) => `  finite = finite && is_finite(norm${i}[0].x);`)}
  if (finite) {
${each((i) => `    clip${i}[0] = unscaled(norm${i}[0].x, s);`)}
    let good = steps[0].y + 1.0;
    let grows = good >= p.interval;
    steps[0].y = select(good, 0.0, grows);
    scale[0].x = select(s, min(2.0 * s, f32(${MOST_SCALE})), grows);
    return;
  }
  let fault = s <= f32(${LEAST_SCALE});
${each((i) => `  clip${i}[0] = vec4u(select(0u, norm${i}[0].x, fault), 0u, 0u, 0u);`)}
  steps[0] = vec4f(steps[0].x + 1.0, 0.0, 0.0, 0.0);
  scale[0].x = max(0.5 * s, f32(${LEAST_SCALE}));
}
`,
  );
}
