import { type Kernel, kernel } from '../engine/kernel.ts';
import type { Triple } from '../engine/shape.ts';
import { volumeIndex } from './shared/volume.ts';
import { flatIndex, flatMain, wgsl } from './shared/wgsl.ts';

/**
 * max_pool3d: maximum of each window of `size` voxels, windows side by side.
 *
 * layout   x [N, D, H, W, C], y [N, D / kz, H / ky, W / kx, C]; one invocation a vec4 of y, channels fastest
 * cost     one read of x, memory bound
 * mirror   test/reference/max_pool3d.ts
 */
export function maxPool3dKernel([kz, ky, kx]: Triple): Kernel {
  return kernel(
    `max_pool3d_${kz}x${ky}x${kx}`,
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
  var best = x[first];
  for (var iz = 0u; iz < ${kz}u; iz++) {
    for (var iy = 0u; iy < ${ky}u; iy++) {
      for (var ix = 0u; ix < ${kx}u; ix++) { best = max(best, x[first + ((iz * p.h + iy) * p.w + ix) * p.pitch]); }
    }
  }
  y[i] = best;
}
`,
  );
}

/**
 * max_pool3d_grad: the window's first maximum in z, y, x order (found again in x) takes the whole gradient.
 *
 * layout   as max_pool3d; one invocation owns a window and writes all of its voxels in dx, so no two meet. Windows cut
 *          off by the border were not pooled: `windows` counts them too, and their voxels get zero
 * cost     one read of x, one write of dx, memory bound
 * mirror   test/reference/max_pool3d.ts
 */
export function maxPool3dGradKernel([kz, ky, kx]: Triple): Kernel {
  return kernel(
    `max_pool3d_grad_${kz}x${ky}x${kx}`,
    wgsl`
struct Params {
  count: u32, pitch: u32, d: u32, h: u32, w: u32, od: u32, oh: u32, ow: u32,
  windows_d: u32, windows_h: u32, windows_w: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> dy: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> dx: array<vec4f>;
${volumeIndex}
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  let at = unravel(i, p.windows_d, p.windows_h, p.windows_w, p.pitch);
  let corner = Place(at.n, at.z * ${kz}u, at.y * ${ky}u, at.x * ${kx}u, at.c);
  let first = ravel(corner, p.d, p.h, p.w, p.pitch);
  var g = vec4f(0.0);
  var winner = vec4u(0u);
  if (at.z < p.od && at.y < p.oh && at.x < p.ow) {
    g = dy[ravel(at, p.od, p.oh, p.ow, p.pitch)];
    var best = x[first];
    for (var iz = 0u; iz < ${kz}u; iz++) {
      for (var iy = 0u; iy < ${ky}u; iy++) {
        for (var ix = 0u; ix < ${kx}u; ix++) {
          let value = x[first + ((iz * p.h + iy) * p.w + ix) * p.pitch];
          winner = select(winner, vec4u((iz * ${ky}u + iy) * ${kx}u + ix), value > best);
          best = max(best, value);
        }
      }
    }
  }
  for (var iz = 0u; iz < min(${kz}u, p.d - corner.z); iz++) {
    for (var iy = 0u; iy < min(${ky}u, p.h - corner.y); iy++) {
      for (var ix = 0u; ix < min(${kx}u, p.w - corner.x); ix++) {
        let mine = winner == vec4u((iz * ${ky}u + iy) * ${kx}u + ix);
        dx[first + ((iz * p.h + iy) * p.w + ix) * p.pitch] = select(vec4f(0.0), g, mine);
      }
    }
  }
}
`,
  );
}
