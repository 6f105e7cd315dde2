import { type Kernel, kernel } from '../engine/kernel.ts';
import { flatIndex, flatMain, wgsl } from './shared/wgsl.ts';

/** `row_norm(base)`: length of the row of x at `base`; scaled by its largest element, so that squares neither vanish nor overflow. */
const rowNorm = wgsl`
fn row_norm(base: u32) -> f32 {
  var top = vec4f(0.0);
  for (var c = 0u; c < p.pitch; c++) { top = max(top, abs(x[base + c])); }
  let largest = max(max(top.x, top.y), max(top.z, top.w));
  if (largest <= 1e-37) { return 0.0; }
  var sum = vec4f(0.0);
  for (var c = 0u; c < p.pitch; c++) {
    let v = x[base + c] / largest;
    sum += v * v;
  }
  return largest * sqrt((sum.x + sum.y) + (sum.z + sum.w));
}
`;

/**
 * l2_normalize: y = x / max(|x|, epsilon) along the channels.
 *
 * layout   x, y [rows, pitch vec4]
 * owns     one row
 * cost     x read once from memory, y written once, memory bound
 * mirror   test/reference/l2_normalize.ts
 */
export function l2NormalizeKernel(): Kernel {
  return kernel(
    'l2_normalize',
    wgsl`
struct Params { rows: u32, pitch: u32, epsilon: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;
${flatIndex}
${rowNorm}
${flatMain}
  if (i >= p.rows) { return; }
  let base = i * p.pitch;
  let norm = max(row_norm(base), p.epsilon);
  for (var c = 0u; c < p.pitch; c++) { y[base + c] = x[base + c] / norm; }
}
`,
  );
}

/** l2_normalize_grad: dx = (dy - y (y . dy)) / |x|, y recomputed; dy / epsilon where |x| < epsilon. One row an invocation. */
export function l2NormalizeGradKernel(): Kernel {
  return kernel(
    'l2_normalize_grad',
    wgsl`
struct Params { rows: u32, pitch: u32, epsilon: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> dy: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> dx: array<vec4f>;
${flatIndex}
${rowNorm}
${flatMain}
  if (i >= p.rows) { return; }
  let base = i * p.pitch;
  let length = row_norm(base);
  let norm = max(length, p.epsilon);
  var along = 0.0;
  if (length >= p.epsilon) {
    for (var c = 0u; c < p.pitch; c++) { along += dot(x[base + c] / norm, dy[base + c]); }
  }
  for (var c = 0u; c < p.pitch; c++) { dx[base + c] = (dy[base + c] - along * (x[base + c] / norm)) / norm; }
}
`,
  );
}
