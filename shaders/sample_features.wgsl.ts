import { type Kernel, kernel } from '../engine/kernel.ts';
import { interpolation, resizeFields } from './shared/interpolation.ts';
import { flatIndex, flatMain, wgsl } from './shared/wgsl.ts';

/** 1: the voxel itself; 3: its 3 x 3 x 3 neighbourhood. */
export type Neighbourhood = 1 | 3;

/** Where a point and its taps are: `place` splits a voxel index, `tap_at` moves to a tap, `inside` says whether it is in the volume. */
const points = (neighbourhood: Neighbourhood) => wgsl`
fn place(voxel: u32) -> vec4i {
  let row = voxel / p.ow;
  let plane = row / p.oh;
  return vec4i(vec4u(plane / p.od, plane % p.od, row % p.oh, voxel % p.ow));
}
fn inside(at: i32, extent: u32) -> bool { return at >= 0 && at < i32(extent); }
const REACH: i32 = ${(neighbourhood - 1) / 2};
`;

/**
 * sample_features: for each point and tap the features of one level, trilinearly interpolated to the patch's resolution;
 * zero for taps outside the patch. Rows of points in other passes are left alone, or zeroed by the \`first\` pass of a level.
 *
 * layout   x [samples, d, h, w, pitch vec4], a pass that holds the patch's samples first_sample..; points u32 [rows] of
 *          voxels (((n od + z) oh + y) ow + x), others are none; y [rows, taps, tap_pitch vec4], this level's from \`at\` on
 * owns     one vec4 of a tap, neighbours neighbouring channels
 * cost     eight loads and a store
 * mirror   test/reference/sample_features.ts
 */
export function sampleFeaturesKernel(neighbourhood: Neighbourhood, first: boolean): Kernel {
  const taps = neighbourhood ** 3;
  return kernel(
    'sample_features',
    wgsl`
struct Params {
  count: u32, pitch: u32, first_sample: u32, samples: u32, tap_pitch: u32, at: u32,
  ${resizeFields}
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> points: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;
${interpolation}
${points(neighbourhood)}
fn along_x(row: u32, ax: Pair, unit: u32) -> vec4f {
  return between(x[(row * p.w + ax.low) * p.pitch + unit], x[(row * p.w + ax.high) * p.pitch + unit], ax.weight);
}
fn along_yx(plane: u32, ay: Pair, ax: Pair, unit: u32) -> vec4f {
  return between(along_x(plane * p.h + ay.low, ax, unit), along_x(plane * p.h + ay.high, ax, unit), ay.weight);
}
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  let unit = i % p.pitch;
  let tap = i / p.pitch % ${taps}u;
  let row = i / p.pitch / ${taps}u;
  let out = (row * ${taps}u + tap) * p.tap_pitch + p.at + unit;
  let at = place(points[row]);
  if (points[row] == 0xffffffffu || u32(at.x) < p.first_sample || u32(at.x) >= p.first_sample + p.samples) {
#if ${first}
    y[out] = vec4f(0.0);
#endif
    return;
  }
  let z = at.y + i32(tap / ${neighbourhood ** 2}u) - REACH;
  let v = at.z + i32(tap / ${neighbourhood}u % ${neighbourhood}u) - REACH;
  let u = at.w + i32(tap % ${neighbourhood}u) - REACH;
  if (!(inside(z, p.od) && inside(v, p.oh) && inside(u, p.ow))) {
    y[out] = vec4f(0.0);
    return;
  }
  let az = pair(u32(z), p.d, p.step_z, p.bias_z, p.den_z);
  let ay = pair(u32(v), p.h, p.step_y, p.bias_y, p.den_y);
  let ax = pair(u32(u), p.w, p.step_x, p.bias_x, p.den_x);
  let sample = (u32(at.x) - p.first_sample) * p.d;
  y[out] = between(along_yx(sample + az.low, ay, ax, unit), along_yx(sample + az.high, ay, ax, unit), az.weight);
}
`,
  );
}

/**
 * feature_origins: the lowest voxel of a level that a point and its taps read; every voxel they read lies within \`cells\` of
 * it (feature_links, feature_scatter).
 *
 * layout   points u32 [rows]; y u32 [rows, 4]: sample within the pass (0xffffffff for none), z, y, x
 * owns     one point
 */
export function featureOriginsKernel(neighbourhood: Neighbourhood): Kernel {
  return kernel(
    'feature_origins',
    wgsl`
struct Params { count: u32, first_sample: u32, samples: u32, ${resizeFields} }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> points: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4u>;
${interpolation}
${points(neighbourhood)}
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  let at = place(points[i]);
  let sample = u32(at.x) - p.first_sample;
  let missing = points[i] == 0xffffffffu || u32(at.x) < p.first_sample || sample >= p.samples;
  let lowest = vec3u(max(at.yzw - REACH, vec3i(0)));
  y[i] = vec4u(
    select(sample, 0xffffffffu, missing),
    pair(lowest.x, p.d, p.step_z, p.bias_z, p.den_z).low,
    pair(lowest.y, p.h, p.step_y, p.bias_y, p.den_y).low,
    pair(lowest.z, p.w, p.step_x, p.bias_x, p.den_x).low,
  );
}
`,
  );
}

/** Cells along z, y and x: how far apart the voxels of a level that one point reads can be, plus one. */
const cellFields = 'cells_z: u32, cells_y: u32, cells_x: u32';

const cells = wgsl`
fn cell_of(cell: u32) -> vec3u {
  return vec3u(cell / (p.cells_y * p.cells_x), cell / p.cells_x % p.cells_y, cell % p.cells_x);
}
`;

/**
 * feature_links: chains the cells of all points that are one voxel, in the order of the points, so that each voxel has one
 * first cell. No atomics and no map of the volume: each cell compares its voxel with the blocks of all points.
 *
 * layout   origins vec4u [rows]; links u32 [rows, cells]: the next row with this voxel or 0x7fffffff; the top bit says that
 *          the cell is not first, or not in the volume
 * owns     one cell
 * cost     rows^2 cells comparisons on vec4us that every invocation reads at once
 */
export function featureLinksKernel(): Kernel {
  return kernel(
    'feature_links',
    wgsl`
struct Params { count: u32, rows: u32, d: u32, h: u32, w: u32, ${cellFields} }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> origins: array<vec4u>;
@group(0) @binding(2) var<storage, read_write> links: array<u32>;
${cells}
fn has(row: u32, sample: u32, voxel: vec3u) -> bool {
  let origin = origins[row];
  return origin.x == sample && all(voxel - origin.yzw < vec3u(p.cells_z, p.cells_y, p.cells_x));
}
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  let block = p.cells_z * p.cells_y * p.cells_x;
  let row = i / block;
  let origin = origins[row];
  let voxel = origin.yzw + cell_of(i % block);
  if (origin.x == 0xffffffffu || any(voxel >= vec3u(p.d, p.h, p.w))) {
    links[i] = 0xffffffffu;
    return;
  }
  var link = 0x7fffffffu;
  for (var next = row + 1u; next < p.rows; next++) {
    if (has(next, origin.x, voxel)) {
      link = next;
      break;
    }
  }
  for (var before = 0u; before < row; before++) {
    if (has(before, origin.x, voxel)) {
      link |= 0x80000000u;
      break;
    }
  }
  links[i] = link;
}
`,
  );
}

/**
 * feature_scatter: the adjoint of sample_features, added to dx: the first cell of each voxel walks its chain and sums what
 * every point's taps got from it. The same order every time.
 *
 * layout   dy as y of sample_features; dx as x, read and written in place
 * owns     one vec4 of a cell
 * cost     at most taps loads a link of the chain; cells that are not first return at once
 * mirror   test/reference/sample_features.ts
 */
export function featureScatterKernel(neighbourhood: Neighbourhood, tail: number): Kernel {
  return kernel(
    'feature_scatter',
    wgsl`
struct Params {
  count: u32, pitch: u32, tap_pitch: u32, at: u32, ${cellFields},
  ${resizeFields}
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> points: array<u32>;
@group(0) @binding(2) var<storage, read> origins: array<vec4u>;
@group(0) @binding(3) var<storage, read> links: array<u32>;
@group(0) @binding(4) var<storage, read> dy: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> dx: array<vec4f>;
${interpolation}
${points(neighbourhood)}
${cells}
// What the taps of a point that read \`voxel\` hand back to it.
fn contribution(row: u32, voxel: vec3u, unit: u32) -> vec4f {
  let at = place(points[row]);
  let begin = row * ${neighbourhood ** 3}u * p.tap_pitch + p.at + unit;
  var sum = vec4f(0.0);
  for (var tz = 0; tz < ${neighbourhood}; tz++) {
    let z = at.y + tz - REACH;
    if (!inside(z, p.od)) { continue; }
    let wz = weight(z, voxel.x, p.d, p.step_z, p.bias_z, p.den_z);
    if (wz == 0.0) { continue; }
    for (var ty = 0; ty < ${neighbourhood}; ty++) {
      let y = at.z + ty - REACH;
      if (!inside(y, p.oh)) { continue; }
      let wy = wz * weight(y, voxel.y, p.h, p.step_y, p.bias_y, p.den_y);
      if (wy == 0.0) { continue; }
      for (var tx = 0; tx < ${neighbourhood}; tx++) {
        let x = at.w + tx - REACH;
        if (!inside(x, p.ow)) { continue; }
        let tap = u32((tz * ${neighbourhood} + ty) * ${neighbourhood} + tx);
        sum += wy * weight(x, voxel.z, p.w, p.step_x, p.bias_x, p.den_x) * dy[begin + tap * p.tap_pitch];
      }
    }
  }
  return sum / (f32(p.den_z) * f32(p.den_y) * f32(p.den_x));
}
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  let unit = i % p.pitch;
  let block = p.cells_z * p.cells_y * p.cells_x;
  var entry = i / p.pitch;
  var link = links[entry];
  if (link >= 0x80000000u) { return; }
  var row = entry / block;
  let voxel = origins[row].yzw + cell_of(entry % block);
  var sum = contribution(row, voxel, unit);
  while (link != 0x7fffffffu) {
    row = link;
    let cell = voxel - origins[row].yzw;
    link = links[row * block + (cell.x * p.cells_y + cell.y) * p.cells_x + cell.z] & 0x7fffffffu;
    sum += contribution(row, voxel, unit);
  }
#if ${tail > 0}
  if (unit + 1u == p.pitch) { sum = select(vec4f(0.0), sum, vec4u(0u, 1u, 2u, 3u) < vec4u(${tail}u)); }
#endif
  let out = (((origins[entry / block].x * p.d + voxel.x) * p.h + voxel.y) * p.w + voxel.z) * p.pitch + unit;
  dx[out] += sum;
}
`,
  );
}
