import { type Kernel, kernel } from '../engine/kernel.ts';
import { flatIndex, flatMain, wgsl } from './shared/wgsl.ts';

/** Of crop_window and accumulate_window. A window may start before the volume does: small volumes are centred in it. */
const windowAt = wgsl`
// windows: per window z, y, x where it starts in the volume, and mirror flags (bit 0 z, 1 y, 2 x)
fn mirrored(at: u32, extent: u32, flags: u32, bit: u32) -> u32 {
  return select(at, extent - 1u - at, (flags & bit) != 0u);
}
`;

/**
 * crop_window: y[b, z, y, x, c] = volume[c, window_b + (z, y, x)], coordinates outside the volume clamped to its edge,
 * mirrored on request (test-time augmentation).
 *
 * layout   volume dense planar [C, D, H, W]; y NDHWC; windows [B, 4] i32
 * owns     one vec4 of channels of one voxel
 * mirror   test/predict/sliding_window.test.ts
 */
export function cropWindowKernel(): Kernel {
  return kernel(
    'crop_window',
    wgsl`
struct Params {
  count: u32, channels: u32, depth: u32, height: u32, width: u32, patch_z: u32, patch_y: u32, patch_x: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> volume: array<f32>;
@group(0) @binding(2) var<storage, read> windows: array<vec4<i32>>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;
${windowAt}
${flatIndex}
fn value(c: u32, voxel: u32) -> f32 {
  if (c >= p.channels) { return 0.0; }
  return volume[c * p.depth * p.height * p.width + voxel];
}
${flatMain}
  if (i >= p.count) { return; }
  let c4 = (p.channels + 3u) / 4u;
  let c = (i % c4) * 4u;
  var rest = i / c4;
  let px = rest % p.patch_x;
  rest = rest / p.patch_x;
  let py = rest % p.patch_y;
  rest = rest / p.patch_y;
  let pz = rest % p.patch_z;
  let at = windows[rest / p.patch_z];
  let flags = u32(at.w);
  let z = clamp(at.x + i32(mirrored(pz, p.patch_z, flags, 1u)), 0, i32(p.depth) - 1);
  let yy = clamp(at.y + i32(mirrored(py, p.patch_y, flags, 2u)), 0, i32(p.height) - 1);
  let x = clamp(at.z + i32(mirrored(px, p.patch_x, flags, 4u)), 0, i32(p.width) - 1);
  let voxel = (u32(z) * p.height + u32(yy)) * p.width + u32(x);
  y[i] = vec4f(value(c, voxel), value(c + 1u, voxel), value(c + 2u, voxel), value(c + 3u, voxel));
}
`,
  );
}

/**
 * accumulate_window: sums[window_b + (z, y, x), c] += weight(z, y, x) probabilities[b, z, y, x, c], with the Gaussian
 * weight exp(-0.5 sum ((z - (P-1)/2) / (sigma P))^2); voxels outside the slab [first, first + depth) are left out.
 *
 * layout   probabilities NDHWC; sums [depth, H, W, C] in vec4
 * owns     one vec4 of one window voxel; one window a dispatch, so that no two invocations share a sum
 * mirror   test/predict/sliding_window.test.ts
 */
export function accumulateWindowKernel(): Kernel {
  return kernel(
    'accumulate_window',
    wgsl`
struct Params {
  count: u32, index: u32, c4: u32, first: i32, depth: u32, height: u32, width: u32,
  patch_z: u32, patch_y: u32, patch_x: u32, sigma: f32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> probabilities: array<vec4f>;
@group(0) @binding(2) var<storage, read> windows: array<vec4<i32>>;
@group(0) @binding(3) var<storage, read_write> sums: array<vec4f>;
${windowAt}
${flatIndex}
fn distance(at: u32, extent: u32) -> f32 {
  return (f32(at) - 0.5 * f32(extent - 1u)) / (p.sigma * f32(extent));
}
${flatMain}
  if (i >= p.count) { return; }
  var rest = i / p.c4;
  let px = rest % p.patch_x;
  rest = rest / p.patch_x;
  let py = rest % p.patch_y;
  let pz = rest / p.patch_y;
  let at = windows[p.index];
  let flags = u32(at.w);
  let z = at.x + i32(mirrored(pz, p.patch_z, flags, 1u)) - p.first;
  let y = at.y + i32(mirrored(py, p.patch_y, flags, 2u));
  let x = at.z + i32(mirrored(px, p.patch_x, flags, 4u));
  if (z < 0 || z >= i32(p.depth) || y < 0 || y >= i32(p.height) || x < 0 || x >= i32(p.width)) { return; }
  let d = vec3f(distance(pz, p.patch_z), distance(py, p.patch_y), distance(px, p.patch_x));
  let to = ((u32(z) * p.height + u32(y)) * p.width + u32(x)) * p.c4 + i % p.c4;
  sums[to] += exp(-0.5 * dot(d, d)) * probabilities[p.index * p.count + i];
}
`,
  );
}

/**
 * finish_window: labels = argmax of the sums, one byte a voxel packed four to a word (at most 256 classes), or with
 * `probabilities` the sums divided by their total, planar [C, voxels].
 *
 * layout   sums [voxels, C] in vec4; owns four voxels (labels) or one (probabilities)
 */
export function finishWindowKernel(probabilities: boolean): Kernel {
  return kernel(
    probabilities ? 'window_probabilities' : 'window_labels',
    wgsl`
struct Params { count: u32, voxels: u32, classes: u32, c4: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> sums: array<vec4f>;
#if ${probabilities}
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
#else
@group(0) @binding(2) var<storage, read_write> y: array<u32>;
#endif
${flatIndex}
fn best(voxel: u32) -> u32 {
  if (voxel >= p.voxels) { return 0u; }
  var winner = 0u;
  var highest = -1.0;
  for (var c = 0u; c < p.classes; c++) {
    let v = sums[voxel * p.c4 + c / 4u][c % 4u];
    if (v > highest) { highest = v; winner = c; }
  }
  return winner;
}
${flatMain}
  if (i >= p.count) { return; }
  #if ${probabilities}
  var total = 0.0;
  for (var c = 0u; c < p.c4; c++) { total += dot(sums[i * p.c4 + c], vec4f(1.0)); }
  for (var c = 0u; c < p.classes; c++) { y[c * p.voxels + i] = sums[i * p.c4 + c / 4u][c % 4u] / max(total, 1e-30); }
  #else
  y[i] = best(i * 4u) | (best(i * 4u + 1u) << 8u) | (best(i * 4u + 2u) << 16u) | (best(i * 4u + 3u) << 24u);
  #endif
}
`,
  );
}
