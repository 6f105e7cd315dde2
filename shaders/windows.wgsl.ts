import { type Kernel, kernel } from '../engine/kernel.ts';
import { flatIndex, flatMain, wgsl } from './shared/wgsl.ts';

const params = wgsl`
struct Params {
  count: u32, channels: u32, x_pitch: u32, y_pitch: u32,
  d: u32, h: u32, w: u32,
  nz: u32, ny: u32, nx: u32,
  wz: u32, wy: u32, wx: u32,
  sz: u32, sy: u32, sx: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
`;

/**
 * windows: y[n, i, e] = x[n, first(i) + cell(e), channel(e)], window i of a grid of nz x ny x nx, flattened [z, y, x, c].
 *
 * layout   x [N, d, h, w, channels], y [N, windows, wz wy wx channels]; all counted in vec4 units where the channels are
 *          a multiple of four, else in f32, so that windows are packed without gaps; zeros behind the last element
 * owns     one unit of y, neighbours along a window's row
 * cost     two units of traffic an invocation, memory bound; x is small and stays in cache
 * mirror   test/reference/windows.ts
 */
export function windowsKernel(unit: 'vec4f' | 'f32'): Kernel {
  return kernel(
    `windows_${unit}`,
    wgsl`
${params}
@group(0) @binding(1) var<storage, read> x: array<${unit}>;
@group(0) @binding(2) var<storage, read_write> y: array<${unit}>;
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  let element = i % p.y_pitch;
  if (element >= p.wz * p.wy * p.wx * p.channels) {
    y[i] = ${unit}(0.0);
    return;
  }
  let row = i / p.y_pitch;
  let window = row % (p.nz * p.ny * p.nx);
  let sample = row / (p.nz * p.ny * p.nx);
  let cell = element / p.channels;
  let z = window / p.nx / p.ny * p.sz + cell / p.wx / p.wy;
  let y_ = window / p.nx % p.ny * p.sy + cell / p.wx % p.wy;
  let x_ = window % p.nx * p.sx + cell % p.wx;
  y[i] = x[(((sample * p.d + z) * p.h + y_) * p.w + x_) * p.x_pitch + element % p.channels];
}
`,
  );
}

/**
 * windows_grad: dx[n, z, y, x, c] = sum of dy over the windows that hold the cell; zero where none does.
 *
 * owns     one unit of dx: gathers at most (size / stride)^3 elements, no atomics
 */
export function windowsGradKernel(unit: 'vec4f' | 'f32'): Kernel {
  return kernel(
    `windows_grad_${unit}`,
    wgsl`
${params}
@group(0) @binding(1) var<storage, read> dy: array<${unit}>;
@group(0) @binding(2) var<storage, read_write> dx: array<${unit}>;
${flatIndex}
// The first window along an axis that still holds the cell at \`at\`.
fn first_window(at: u32, size: u32, stride: u32) -> u32 {
  if (at < size) { return 0u; }
  return (at - size) / stride + 1u;
}
${flatMain}
  if (i >= p.count) { return; }
  let channel = i % p.x_pitch;
  let voxel = i / p.x_pitch;
  let x = voxel % p.w;
  let y = voxel / p.w % p.h;
  let z = voxel / p.w / p.h % p.d;
  let sample = voxel / p.w / p.h / p.d;
  var sum = ${unit}(0.0);
  if (channel < p.channels) {
    for (var iz = first_window(z, p.wz, p.sz); iz < min(z / p.sz + 1u, p.nz); iz++) {
      for (var iy = first_window(y, p.wy, p.sy); iy < min(y / p.sy + 1u, p.ny); iy++) {
        for (var ix = first_window(x, p.wx, p.sx); ix < min(x / p.sx + 1u, p.nx); ix++) {
          let row = ((sample * p.nz + iz) * p.ny + iy) * p.nx + ix;
          let cell = ((z - iz * p.sz) * p.wy + (y - iy * p.sy)) * p.wx + (x - ix * p.sx);
          sum += dy[row * p.y_pitch + cell * p.channels + channel];
        }
      }
    }
  }
  dx[i] = sum;
}
`,
  );
}
