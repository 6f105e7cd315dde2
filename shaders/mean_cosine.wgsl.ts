import { type Kernel, kernel } from '../engine/kernel.ts';
import { flatIndex, flatMain, wgsl } from './shared/wgsl.ts';

/**
 * mean_cosine: y[n] = sum over the pairs a < b of x[a, n] . x[b, n], in the first channel; a total over y ends it.
 *
 * layout   x [samples, locations, pitch vec4], y [locations vec4]
 * owns     one location
 * cost     samples (samples - 1) / 2 dot products a location
 * mirror   test/reference/mean_cosine.ts
 */
export function meanCosineKernel(): Kernel {
  return kernel(
    'mean_cosine',
    wgsl`
struct Params { samples: u32, locations: u32, pitch: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;
${flatIndex}
${flatMain}
  if (i >= p.locations) { return; }
  var sum = 0.0;
  for (var b = 1u; b < p.samples; b++) {
    for (var a = 0u; a < b; a++) {
      for (var d = 0u; d < p.pitch; d++) {
        sum += dot(x[(a * p.locations + i) * p.pitch + d], x[(b * p.locations + i) * p.pitch + d]);
      }
    }
  }
  y[i] = vec4f(sum, 0.0, 0.0, 0.0);
}
`,
  );
}
