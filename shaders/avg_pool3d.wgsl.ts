import { type Kernel, kernel } from '../engine/kernel.ts';
import type { Triple } from '../engine/shape.ts';
import { volumeIndex } from './shared/volume.ts';
import { flatIndex, flatMain, wgsl } from './shared/wgsl.ts';

/**
 * avg_pool3d: mean of each window of `size` voxels, windows side by side.
 *
 * layout   x [N, D, H, W, C], y [N, D / kz, H / ky, W / kx, C]; one invocation a vec4 of y, channels fastest
 * cost     one read of x, memory bound
 * mirror   test/reference/avg_pool3d.ts
 */
export function avgPool3dKernel([kz, ky, kx]: Triple): Kernel {
  return kernel(
    `avg_pool3d_${kz}x${ky}x${kx}`,
    wgsl`
struct Params { count: u32, pitch: u32, d: u32, h: u32, w: u32, od: u32, oh: u32, ow: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;
${volumeIndex}
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  let at = unravel(i, p.od, p.oh, p.ow, p.pitch);
  let first = ravel(Place(at.n, at.z * ${kz}u, at.y * ${ky}u, at.x * ${kx}u, at.c), p.d, p.h, p.w, p.pitch);
  var sum = vec4f(0.0);
  for (var iz = 0u; iz < ${kz}u; iz++) {
    for (var iy = 0u; iy < ${ky}u; iy++) {
      for (var ix = 0u; ix < ${kx}u; ix++) { sum += x[first + ((iz * p.h + iy) * p.w + ix) * p.pitch]; }
    }
  }
  y[i] = sum * ${1 / (kz * ky * kx)};
}
`,
  );
}

/**
 * avg_pool3d_grad: each voxel takes its window's share; zero where no whole window covers it.
 *
 * layout   as avg_pool3d; one invocation a vec4 of dx
 * cost     one write of dx, memory bound
 * mirror   test/reference/avg_pool3d.ts
 */
export function avgPool3dGradKernel([kz, ky, kx]: Triple): Kernel {
  return kernel(
    `avg_pool3d_grad_${kz}x${ky}x${kx}`,
    wgsl`
struct Params { count: u32, pitch: u32, d: u32, h: u32, w: u32, od: u32, oh: u32, ow: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> dy: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> dx: array<vec4f>;
${volumeIndex}
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  let at = unravel(i, p.d, p.h, p.w, p.pitch);
  let window = Place(at.n, at.z / ${kz}u, at.y / ${ky}u, at.x / ${kx}u, at.c);
  var g = vec4f(0.0);
  if (window.z < p.od && window.y < p.oh && window.x < p.ow) {
    g = dy[ravel(window, p.od, p.oh, p.ow, p.pitch)] * ${1 / (kz * ky * kx)};
  }
  dx[i] = g;
}
`,
  );
}
