import { type Kernel, kernel } from '../engine/kernel.ts';
import { flatIndex, flatMain, wgsl } from './shared/wgsl.ts';

/**
 * confident_share: how many rows lane, lane + lanes, ... of a sample are valid (label below `classes`) and confident, and
 * how many are valid. Counts are exact in f32: a sample has fewer than 2^24 voxels.
 *
 * layout   labels u32, confidence f32 [samples, rows]; y [samples * lanes vec4]: (confident, valid, 0, 0)
 * owns     one lane
 * cost     8 bytes read a row, memory bound
 * mirror   test/action/pseudo.test.ts
 */
export function confidentShareKernel(): Kernel {
  return kernel(
    'confident_share',
    wgsl`
struct Params { count: u32, rows: u32, lanes: u32, classes: u32, threshold: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read> confidence: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  let begin = i / p.lanes * p.rows;
  var confident = 0u;
  var valid = 0u;
  for (var row = i % p.lanes; row < p.rows; row += p.lanes) {
    let is_valid = labels[begin + row] < p.classes;
    valid += u32(is_valid);
    confident += u32(is_valid && confidence[begin + row] >= p.threshold);
  }
  y[i] = vec4f(f32(confident), f32(valid), 0.0, 0.0);
}
`,
  );
}

/** share: weights[i] = confident / valid of sample i, 0 where nothing is valid, and their mean. One invocation. */
export function shareKernel(): Kernel {
  return kernel(
    'share',
    wgsl`
struct Params { samples: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> sums: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> weights: array<f32>;
@group(0) @binding(3) var<storage, read_write> mean: array<vec4f>;
${flatIndex}
${flatMain}
  if (i >= 1u) { return; }
  var sum = 0.0;
  for (var sample = 0u; sample < p.samples; sample++) {
    let share = sums[sample].x / max(sums[sample].y, 1.0);
    weights[sample] = share;
    sum += share;
  }
  mean[0] = vec4f(sum / f32(p.samples), 0.0, 0.0, 0.0);
}
`,
  );
}
