import { type Kernel, kernel } from '../engine/kernel.ts';
import type { Triple } from '../engine/shape.ts';
import { activated, normedInput, normOf } from './shared/normed.ts';
import { volumeIndex } from './shared/volume.ts';
import { flatIndex, flatMain, wgsl } from './shared/wgsl.ts';

/**
 * max_pool3d: maximum of each window of `size` voxels, windows side by side; `normed` of x read through its norm and activation.
 *
 * layout   x [N, D, H, W, C], y [N, D / kz, H / ky, W / kx, C]; one invocation a vec4 of y, channels fastest
 * cost     one read of x, memory bound
 * mirror   test/reference/max_pool3d.ts
 */
export function maxPool3dKernel([kz, ky, kx]: Triple, normed: boolean): Kernel {
  const x = (at: string) => activated(normed, `x[${at}]`, 'norm');
  return kernel(
    `max_pool3d_${kz}x${ky}x${kx}`,
    wgsl`
struct Params { count: u32, pitch: u32, d: u32, h: u32, w: u32, od: u32, oh: u32, ow: u32, slope: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;
${normedInput(normed, 3)}
${volumeIndex}
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  let at = unravel(i, p.od, p.oh, p.ow, p.pitch);
  let first = ravel(Place(at.n, at.z * ${kz}u, at.y * ${ky}u, at.x * ${kx}u, at.c), p.d, p.h, p.w, p.pitch);
  ${normOf(normed, 'norm', 'at.n', 'at.c', 'p.pitch')}
  var best = ${x('first')};
  for (var iz = 0u; iz < ${kz}u; iz++) {
    for (var iy = 0u; iy < ${ky}u; iy++) {
      for (var ix = 0u; ix < ${kx}u; ix++) { best = max(best, ${x('first + ((iz * p.h + iy) * p.w + ix) * p.pitch')}); }
    }
  }
  y[i] = best;
}
`,
  );
}

/**
 * max_pool3d_grad: the window's first maximum in z, y, x order (found again in x) takes the whole gradient, on top of what
 * dx holds already.
 *
 * layout   as max_pool3d; one invocation owns a window and the voxels of it in dx, so no two meet. Voxels of windows cut off
 *          by the border were not pooled and are left alone
 * cost     one read of x, one read and write of dx, memory bound
 * mirror   test/reference/max_pool3d.ts
 */
export function maxPool3dGradKernel([kz, ky, kx]: Triple, normed: boolean): Kernel {
  const x = (at: string) => activated(normed, `x[${at}]`, 'norm');
  return kernel(
    `max_pool3d_grad_${kz}x${ky}x${kx}`,
    wgsl`
struct Params { count: u32, pitch: u32, d: u32, h: u32, w: u32, od: u32, oh: u32, ow: u32, slope: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> dy: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> dx: array<vec4f>;
${normedInput(normed, 4)}
${volumeIndex}
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  let at = unravel(i, p.od, p.oh, p.ow, p.pitch);
  let first = ravel(Place(at.n, at.z * ${kz}u, at.y * ${ky}u, at.x * ${kx}u, at.c), p.d, p.h, p.w, p.pitch);
  var winner = vec4u(0u);
  ${normOf(normed, 'norm', 'at.n', 'at.c', 'p.pitch')}
  var best = ${x('first')};
  for (var iz = 0u; iz < ${kz}u; iz++) {
    for (var iy = 0u; iy < ${ky}u; iy++) {
      for (var ix = 0u; ix < ${kx}u; ix++) {
        let value = ${x('first + ((iz * p.h + iy) * p.w + ix) * p.pitch')};
        winner = select(winner, vec4u((iz * ${ky}u + iy) * ${kx}u + ix), value > best);
        best = max(best, value);
      }
    }
  }
  let g = dy[i];
  for (var iz = 0u; iz < ${kz}u; iz++) {
    for (var iy = 0u; iy < ${ky}u; iy++) {
      for (var ix = 0u; ix < ${kx}u; ix++) {
        let mine = winner == vec4u((iz * ${ky}u + iy) * ${kx}u + ix);
        if (any(mine)) { dx[first + ((iz * p.h + iy) * p.w + ix) * p.pitch] += select(vec4f(0.0), g, mine); }
      }
    }
  }
}
`,
  );
}
