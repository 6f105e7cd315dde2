import { type Kernel, kernel } from '../engine/kernel.ts';
import { interpolation, resizeFields } from './shared/interpolation.ts';
import { flatIndex, flatMain, wgsl } from './shared/wgsl.ts';

/**
 * class_weights: how much each voxel u of a level counts in the sum, over the voxels v of a class, of the level resized to
 * full resolution and read at v + t: the adjoint of the resizing applied to the class's mask shifted by t, for taps t of the
 * 3 x 3 x 3 neighbourhood. Taps that leave the patch count nothing. Times the level's features that is the sum itself.
 *
 * layout   codes u32 [samples, od, oh, ow] (2 class + hard, others take no part); y f32 [rows, pitch]: columns
 *          (((tap line - first_line) * 3 + tx) * classes + class) for voxels u = first_row.. of the level in this pass
 * owns     a voxel of the level and one tap line (tz, ty): its 3 classes columns
 * cost     about (2 out / in)^3 reads of codes, mostly from cache
 * mirror   the dense head in test/action/representation.test.ts
 */
export function classWeightsKernel(classes: number): Kernel {
  return kernel(
    'class_weights',
    wgsl`
struct Params {
  count: u32, first_row: u32, first_line: u32, lines: u32, pitch: u32, first_sample: u32,
  ${resizeFields}
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> codes: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
${interpolation}
fn inside(at: i32, extent: u32) -> bool { return at >= 0 && at < i32(extent); }
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  let line = i % p.lines + p.first_line;
  let tz = i32(line / 3u) - 1;
  let ty = i32(line % 3u) - 1;
  let voxel = i / p.lines + p.first_row;
  let ux = voxel % p.w;
  let uy = voxel / p.w % p.h;
  let uz = voxel / (p.w * p.h) % p.d;
  let sample = (voxel / (p.w * p.h * p.d) + p.first_sample) * p.od;
  let rz = readers(uz, p.od, p.step_z, p.bias_z, p.den_z);
  let ry = readers(uy, p.oh, p.step_y, p.bias_y, p.den_y);
  let rx = readers(ux, p.ow, p.step_x, p.bias_x, p.den_x);
  var sums: array<f32, ${3 * classes}>;
  for (var z = rz.first; z < rz.end; z++) {
    if (!inside(z - tz, p.od)) { continue; }
    let wz = weight(z, uz, p.d, p.step_z, p.bias_z, p.den_z);
    for (var y = ry.first; y < ry.end; y++) {
      if (!inside(y - ty, p.oh)) { continue; }
      let wy = wz * weight(y, uy, p.h, p.step_y, p.bias_y, p.den_y);
      let row = ((sample + u32(z - tz)) * p.oh + u32(y - ty)) * p.ow;
      for (var x = max(rx.first - 1, 0); x < min(rx.end + 1, i32(p.ow)); x++) {
        let label = codes[row + u32(x)] / 2u;
        if (label >= ${classes}u) { continue; }
        for (var tx = 0; tx < 3; tx++) {
          let at = x + tx - 1;
          if (at < rx.first || at >= rx.end) { continue; }
          sums[u32(tx) * ${classes}u + label] += wy * weight(at, ux, p.w, p.step_x, p.bias_x, p.den_x);
        }
      }
    }
  }
  let unit = f32(p.den_z) * f32(p.den_y) * f32(p.den_x);
  let out = i / p.lines * p.pitch + i % p.lines * ${3 * classes}u;
  for (var column = 0u; column < ${3 * classes}u; column++) { y[out + column] = sums[column] / unit; }
  if (i % p.lines + 1u == p.lines) {
    for (var column = p.lines * ${3 * classes}u; column < p.pitch; column++) { y[i / p.lines * p.pitch + column] = 0.0; }
  }
}
`,
  );
}

/**
 * add_class_means: y[class, tap, channels of a level] += x / voxels of the class, x a product of class_weights and features.
 *
 * layout   x [lines * 3 * classes, pitch vec4], totals u32 [2 classes]; y [classes, 27, tap_pitch vec4], this level's from \`at\`
 * owns     one vec4
 */
export function addClassMeansKernel(classes: number): Kernel {
  return kernel(
    'add_class_means',
    wgsl`
struct Params { count: u32, pitch: u32, first_line: u32, tap_pitch: u32, at: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> totals: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  let row = i / p.pitch;
  let label = row % ${classes}u;
  let tap = row / ${classes}u + 3u * p.first_line;
  y[(label * 27u + tap) * p.tap_pitch + p.at + i % p.pitch] += x[i] / f32(max(totals[2u * label], 1u));
}
`,
  );
}
