import { type Kernel, kernel } from '../engine/kernel.ts';
import { interpolation, resizeFields } from './shared/interpolation.ts';
import { volumeIndex } from './shared/volume.ts';
import { flatIndex, flatMain, wgsl } from './shared/wgsl.ts';

/**
 * resize3d: trilinear interpolation.
 *
 * layout   x [N, D, H, W, C], y [N, OD, OH, OW, C]; one invocation a vec4 of y, channels fastest
 * cost     eight loads, mostly from cache, and one store; memory bound
 * mirror   test/reference/resize3d.ts
 */
export function resize3dKernel(): Kernel {
  return kernel(
    'resize3d',
    wgsl`
struct Params { count: u32, pitch: u32, ${resizeFields} }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;
${volumeIndex}
${interpolation}
fn along_x(n: u32, z: u32, y: u32, ax: Pair, c: u32) -> vec4f {
  let row = ravel(Place(n, z, y, 0u, c), p.d, p.h, p.w, p.pitch);
  return between(x[row + ax.low * p.pitch], x[row + ax.high * p.pitch], ax.weight);
}
fn along_yx(n: u32, z: u32, ay: Pair, ax: Pair, c: u32) -> vec4f {
  return between(along_x(n, z, ay.low, ax, c), along_x(n, z, ay.high, ax, c), ay.weight);
}
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  let at = unravel(i, p.od, p.oh, p.ow, p.pitch);
  let az = pair(at.z, p.d, p.step_z, p.bias_z, p.den_z);
  let ay = pair(at.y, p.h, p.step_y, p.bias_y, p.den_y);
  let ax = pair(at.x, p.w, p.step_x, p.bias_x, p.den_x);
  y[i] = between(along_yx(at.n, az.low, ay, ax, at.c), along_yx(at.n, az.high, ay, ax, at.c), az.weight);
}
`,
  );
}

/**
 * resize3d_grad: the adjoint as a gather. On each axis the outputs that read input i are those whose source position
 * lies within one of i: a range, found by inverting the map in integers. Their weight is 1 - |source - i|, kept in
 * units of 1 / den.
 *
 * layout   as resize3d; one invocation a vec4 of dx, which sums the outputs that read its voxel
 * cost     about 2 out / in loads an axis, mostly from cache (64 for a factor of 2), one store
 * mirror   test/reference/resize3d.ts
 */
export function resize3dGradKernel(): Kernel {
  return kernel(
    'resize3d_grad',
    wgsl`
struct Params { count: u32, pitch: u32, ${resizeFields} }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> dy: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> dx: array<vec4f>;
${volumeIndex}
${interpolation}
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  let at = unravel(i, p.d, p.h, p.w, p.pitch);
  let rz = readers(at.z, p.od, p.step_z, p.bias_z, p.den_z);
  let ry = readers(at.y, p.oh, p.step_y, p.bias_y, p.den_y);
  let rx = readers(at.x, p.ow, p.step_x, p.bias_x, p.den_x);
  var sum = vec4f(0.0);
  for (var z = rz.first; z < rz.end; z++) {
    let wz = weight(z, at.z, p.d, p.step_z, p.bias_z, p.den_z);
    for (var y = ry.first; y < ry.end; y++) {
      let wy = weight(y, at.y, p.h, p.step_y, p.bias_y, p.den_y);
      let row = ravel(Place(at.n, u32(z), u32(y), 0u, at.c), p.od, p.oh, p.ow, p.pitch);
      var line = vec4f(0.0);
      for (var x = rx.first; x < rx.end; x++) {
        line += weight(x, at.x, p.w, p.step_x, p.bias_x, p.den_x) * dy[row + u32(x) * p.pitch];
      }
      sum += wz * wy * line;
    }
  }
  dx[i] = sum / (f32(p.den_z) * f32(p.den_y) * f32(p.den_x));
}
`,
  );
}
