import { type Kernel, kernel } from '../engine/kernel.ts';
import { BLOCK } from './matmul_windows.wgsl.ts';
import { interpolation, resizeFields } from './shared/interpolation.ts';
import { flatIndex, flatMain, repeat, wgsl } from './shared/wgsl.ts';

/** 1: the voxel itself; 3: its 3 x 3 x 3 neighbourhood. */
export type Neighbourhood = 1 | 3;

/**
 * Where a point and its taps are: `place` splits a voxel index; `reach` gives the voxels of a level that a point and its taps
 * read along an axis, from .x to .y - 1; `tap_weights` what each tap along an axis takes of one of them, zero for taps that
 * leave the patch.
 */
const points = (neighbourhood: Neighbourhood) => wgsl`
fn place(voxel: u32) -> vec4i {
  let row = voxel / p.ow;
  let plane = row / p.oh;
  return vec4i(vec4u(plane / p.od, plane % p.od, row % p.oh, voxel % p.ow));
}
const REACH: i32 = ${(neighbourhood - 1) / 2};
fn reach(at: i32, extent: u32, size: u32, step: i32, bias: i32, den: i32) -> vec2u {
  let low = pair(u32(max(at - REACH, 0)), size, step, bias, den);
  let high = pair(u32(min(at + REACH, i32(extent) - 1)), size, step, bias, den);
  return vec2u(low.low, high.low + u32(high.weight > 0.0) + 1u);
}
fn tap_weight(o: i32, voxel: u32, extent: u32, size: u32, step: i32, bias: i32, den: i32) -> f32 {
  return select(0.0, weight(o, voxel, size, step, bias, den) / f32(den), o >= 0 && o < i32(extent));
}
fn tap_weights(at: i32, voxel: u32, extent: u32, size: u32, step: i32, bias: i32, den: i32) -> vec3f {
  return vec3f(
    ${[0, 1, 2]
      .map((t) => (t < neighbourhood ? `tap_weight(at + ${t} - REACH, voxel, extent, size, step, bias, den)` : '0.0'))
      .join(',\n    ')},
  );
}
fn weights_z(at: vec4i, voxel: u32) -> vec3f { return tap_weights(at.y, voxel, p.od, p.d, p.step_z, p.bias_z, p.den_z); }
fn weights_y(at: vec4i, voxel: u32) -> vec3f { return tap_weights(at.z, voxel, p.oh, p.h, p.step_y, p.bias_y, p.den_y); }
fn weights_x(at: vec4i, voxel: u32) -> vec3f { return tap_weights(at.w, voxel, p.ow, p.w, p.step_x, p.bias_x, p.den_x); }
`;

/** `reach` of a point along all three axes: rz, ry, rx. */
const reaches = wgsl`
  let rz = reach(at.y, p.od, p.d, p.step_z, p.bias_z, p.den_z);
  let ry = reach(at.z, p.oh, p.h, p.step_y, p.bias_y, p.den_y);
  let rx = reach(at.w, p.ow, p.w, p.step_x, p.bias_x, p.den_x);
`;

const AXES = 'xyz';

/**
 * sample_features: for each point and tap the features of one level, trilinearly interpolated to the patch's resolution;
 * zero for taps outside the patch. Rows of points in other passes are left alone, or zeroed by the `first` pass of a level.
 *
 * layout   x [samples, d, h, w, pitch vec4], a pass that holds the patch's samples first_sample..; points u32 [rows] of
 *          voxels (((n od + z) oh + y) ow + x), others are none; y [rows, taps, tap_pitch vec4], this level's from `at` on, or with
 *          `blocks` in blocks of BLOCK vec4 columns (matmul_windows)
 * owns     one vec4 of a point, all its taps in registers; neighbours neighbouring channels
 * cost     a load of each voxel that the point and its taps read, summed axis by axis, and a store a tap
 * mirror   test/reference/sample_features.ts
 */
export function sampleFeaturesKernel(neighbourhood: Neighbourhood, first: boolean, blocks: boolean): Kernel {
  const n = neighbourhood;
  const taps = n ** 3;
  const yx = (line: (ty: number, tx: number) => string) => repeat(n, (ty) => repeat(n, (tx) => line(ty, tx)));
  return kernel(
    'sample_features',
    wgsl`
struct Params {
  count: u32, rows: u32, pitch: u32, first_sample: u32, samples: u32, tap_pitch: u32, at: u32,
  ${resizeFields}
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> points: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;
${interpolation}
${points(neighbourhood)}
fn out(row: u32, tap: u32, unit: u32) -> u32 {
  let column = tap * p.tap_pitch + p.at + unit;
#if ${blocks}
  return (column / ${BLOCK}u * p.rows + row) * ${BLOCK}u + column % ${BLOCK}u;
#else
  return row * ${taps}u * p.tap_pitch + column;
#endif
}
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  let unit = i % p.pitch;
  let row = i / p.pitch;
  let at = place(points[row]);
  if (points[row] == 0xffffffffu || u32(at.x) < p.first_sample || u32(at.x) >= p.first_sample + p.samples) {
#if ${first}
    for (var tap = 0u; tap < ${taps}u; tap++) { y[out(row, tap, unit)] = vec4f(0.0); }
#endif
    return;
  }
  ${reaches}
  let sample = (u32(at.x) - p.first_sample) * p.d;
  ${repeat(n, (tz) => yx((ty, tx) => `var y${tz}${ty}${tx} = vec4f(0.0);`))}
  for (var z = rz.x; z < rz.y; z++) {
    let wz = weights_z(at, z);
    ${yx((ty, tx) => `var plane${ty}${tx} = vec4f(0.0);`)}
    for (var v = ry.x; v < ry.y; v++) {
      let wy = weights_y(at, v);
      ${repeat(n, (tx) => `var line${tx} = vec4f(0.0);`)}
      for (var u = rx.x; u < rx.y; u++) {
        let wx = weights_x(at, u);
        let value = x[(((sample + z) * p.h + v) * p.w + u) * p.pitch + unit];
        ${repeat(n, (tx) => `line${tx} += wx.${AXES[tx]} * value;`)}
      }
      ${yx((ty, tx) => `plane${ty}${tx} += wy.${AXES[ty]} * line${tx};`)}
    }
    ${repeat(n, (tz) => yx((ty, tx) => `y${tz}${ty}${tx} += wz.${AXES[tz]} * plane${ty}${tx};`))}
  }
  ${repeat(n, (tz) => yx((ty, tx) => `y[out(row, ${(tz * n + ty) * n + tx}u, unit)] = y${tz}${ty}${tx};`))}
}
`,
  );
}

/**
 * feature_origins: the block of voxels of a level that a point and its taps read, at most `cells` along an axis
 * (feature_links, feature_scatter).
 *
 * layout   points u32 [rows]; y u32 [rows, 4]: sample within the pass (0xffffffff for none), then along z, y, x the lowest
 *          voxel in the lower 20 bits and their number in the upper 12
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
  if (missing) {
    y[i] = vec4u(0xffffffffu, 0u, 0u, 0u);
    return;
  }
  ${reaches}
  y[i] = vec4u(sample, vec3u(rz.x, ry.x, rx.x) | (vec3u(rz.y - rz.x, ry.y - ry.x, rx.y - rx.x) << vec3u(20u)));
}
`,
  );
}

/** Cells along z, y and x: the most voxels of a level that one point reads. */
const cellFields = 'cells_z: u32, cells_y: u32, cells_x: u32';

const cells = wgsl`
fn cell_of(cell: u32) -> vec3u {
  return vec3u(cell / (p.cells_y * p.cells_x), cell / p.cells_x % p.cells_y, cell % p.cells_x);
}
`;

/** `lowest` voxel of a block of feature_origins and its `extent`. */
const blocks = wgsl`
fn lowest(origin: vec4u) -> vec3u { return origin.yzw & vec3u(0xfffffu); }
fn extent(origin: vec4u) -> vec3u { return origin.yzw >> vec3u(20u); }
`;

/** Points whose origins fit a uniform binding of 64 KiB. */
export const UNIFORM_ORIGINS = 4096;

/** `origins`, through a uniform binding of `uniform` points or, with 0, through storage. */
const originsAt = (binding: number, uniform: number) =>
  uniform > 0
    ? `@group(0) @binding(${binding}) var<uniform> origins: array<vec4u, ${uniform}>;`
    : `@group(0) @binding(${binding}) var<storage, read> origins: array<vec4u>;`;

/**
 * feature_overlaps: which points' blocks share a voxel with a point's own, as bits.
 *
 * layout   origins vec4u [rows]; y u32 [rows, words], bit b of word w: row 32 w + b
 * owns     one word
 * cost     32 reads of origins
 */
export function featureOverlapsKernel(uniform: number): Kernel {
  return kernel(
    'feature_overlaps',
    wgsl`
struct Params { count: u32, rows: u32 }
@group(0) @binding(0) var<uniform> p: Params;
${originsAt(1, uniform)}
@group(0) @binding(2) var<storage, read_write> y: array<u32>;
${blocks}
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  let words = (p.rows + 31u) / 32u;
  let mine = origins[i / words];
  let first = i % words * 32u;
  let begin = lowest(mine);
  let end = begin + extent(mine);
  var bits = 0u;
  if (mine.x != 0xffffffffu) {
    for (var bit = 0u; bit < min(32u, p.rows - first); bit++) {
      let other = origins[first + bit];
      let meet = all(lowest(other) < end) && all(begin < lowest(other) + extent(other));
      if (other.x == mine.x && meet) { bits |= 1u << bit; }
    }
  }
  y[i] = bits;
}
`,
  );
}

/**
 * feature_links: chains the cells of all points that are one voxel, in the order of the points, so that each voxel has one
 * first cell. No atomics and no map of the volume: each cell compares its voxel with the blocks of the points that overlap.
 *
 * layout   origins vec4u [rows], overlaps u32 [rows, words]; links u32 [rows, cells]: the next row with this voxel or
 *          0x7fffffff; the top bit says that the cell is not first, or that the point does not read it
 * owns     one cell
 * cost     rows / 32 words, and comparisons with the overlapping points up to the next and to an earlier one
 */
export function featureLinksKernel(uniform: number): Kernel {
  return kernel(
    'feature_links',
    wgsl`
struct Params { count: u32, rows: u32, ${cellFields} }
@group(0) @binding(0) var<uniform> p: Params;
${originsAt(1, uniform)}
@group(0) @binding(2) var<storage, read> overlaps: array<u32>;
@group(0) @binding(3) var<storage, read_write> links: array<u32>;
${cells}
${blocks}
fn has(row: u32, voxel: vec3u) -> bool {
  let origin = origins[row];
  return all(voxel - lowest(origin) < extent(origin));
}
// The first row among the bits of a word that has the voxel, or 0x7fffffff.
fn first_of(bits: u32, word: u32, voxel: vec3u) -> u32 {
  for (var left = bits; left != 0u; left &= left - 1u) {
    let row = word * 32u + firstTrailingBit(left);
    if (has(row, voxel)) { return row; }
  }
  return 0x7fffffffu;
}
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  let block = p.cells_z * p.cells_y * p.cells_x;
  let row = i / block;
  let origin = origins[row];
  let cell = cell_of(i % block);
  let voxel = lowest(origin) + cell;
  if (origin.x == 0xffffffffu || any(cell >= extent(origin))) {
    links[i] = 0xffffffffu;
    return;
  }
  let words = (p.rows + 31u) / 32u;
  let begin = row * words;
  let own = row / 32u;
  let earlier = (1u << (row % 32u)) - 1u;
  let here = overlaps[begin + own];
  var link = first_of(here & ~(earlier | (1u << (row % 32u))), own, voxel);
  for (var word = own + 1u; word < words && link == 0x7fffffffu; word++) {
    link = first_of(overlaps[begin + word], word, voxel);
  }
  var before = first_of(here & earlier, own, voxel);
  for (var word = 0u; word < own && before == 0x7fffffffu; word++) {
    before = first_of(overlaps[begin + word], word, voxel);
  }
  links[i] = link | select(0x80000000u, 0u, before == 0x7fffffffu);
}
`,
  );
}

/**
 * feature_cells: the adjoint of sample_features point by point: what all taps of a point hand back to each voxel of the level
 * that they read. Rows of points in other passes are left alone.
 *
 * layout   dy as y of sample_features; y [rows, cells, pitch vec4], nothing for cells that the point does not read
 * owns     one vec4 of a point, all its taps in registers
 * cost     a load a tap, a store a cell
 * mirror   test/reference/sample_features.ts
 */
export function featureCellsKernel(neighbourhood: Neighbourhood): Kernel {
  const n = neighbourhood;
  const yx = (line: (ty: number, tx: number) => string) => repeat(n, (ty) => repeat(n, (tx) => line(ty, tx)));
  const over = (term: (t: number) => string) => Array.from({ length: n }, (_, t) => term(t)).join(' + ');
  return kernel(
    'feature_cells',
    wgsl`
struct Params {
  count: u32, pitch: u32, tap_pitch: u32, at: u32, ${cellFields},
  ${resizeFields}
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> points: array<u32>;
@group(0) @binding(2) var<storage, read> origins: array<vec4u>;
@group(0) @binding(3) var<storage, read> dy: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4f>;
${interpolation}
${points(neighbourhood)}
${blocks}
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  let unit = i % p.pitch;
  let row = i / p.pitch;
  let origin = origins[row];
  if (origin.x == 0xffffffffu) { return; }
  let at = place(points[row]);
  let begin = row * ${n ** 3}u * p.tap_pitch + p.at + unit;
  ${repeat(n, (tz) => yx((ty, tx) => `let dy${tz}${ty}${tx} = dy[begin + ${(tz * n + ty) * n + tx}u * p.tap_pitch];`))}
  let low = lowest(origin);
  let read = extent(origin);
  for (var z = 0u; z < read.x; z++) {
    let wz = weights_z(at, low.x + z);
    ${yx((ty, tx) => `let plane${ty}${tx} = ${over((tz) => `wz.${AXES[tz]} * dy${tz}${ty}${tx}`)};`)}
    for (var v = 0u; v < read.y; v++) {
      let wy = weights_y(at, low.y + v);
      ${repeat(n, (tx) => `let line${tx} = ${over((ty) => `wy.${AXES[ty]} * plane${ty}${tx}`)};`)}
      let out = (((row * p.cells_z + z) * p.cells_y + v) * p.cells_x) * p.pitch + unit;
      for (var u = 0u; u < read.z; u++) {
        let wx = weights_x(at, low.z + u);
        y[out + u * p.pitch] = ${over((tx) => `wx.${AXES[tx]} * line${tx}`)};
      }
    }
  }
}
`,
  );
}

/**
 * feature_scatter: the cells of feature_cells added to dx: the first cell of each voxel walks its chain and sums what every
 * point hands back to it. The same order every time.
 *
 * layout   cells [rows, cells, pitch vec4]; dx as x of sample_features, read and written in place
 * owns     one vec4 of a cell
 * cost     a load a link of the chain; cells that are not first return at once
 * mirror   test/reference/sample_features.ts
 */
export function featureScatterKernel(tail: number, uniform: number): Kernel {
  return kernel(
    'feature_scatter',
    wgsl`
struct Params { count: u32, pitch: u32, d: u32, h: u32, w: u32, ${cellFields} }
@group(0) @binding(0) var<uniform> p: Params;
${originsAt(1, uniform)}
@group(0) @binding(2) var<storage, read> links: array<u32>;
@group(0) @binding(3) var<storage, read> parts: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> dx: array<vec4f>;
${cells}
${blocks}
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  let unit = i % p.pitch;
  let block = p.cells_z * p.cells_y * p.cells_x;
  let first = i / p.pitch;
  var link = links[first];
  if (link >= 0x80000000u) { return; }
  let origin = origins[first / block];
  let voxel = lowest(origin) + cell_of(first % block);
  var sum = parts[i];
  while (link != 0x7fffffffu) {
    let cell = voxel - lowest(origins[link]);
    let entry = link * block + (cell.x * p.cells_y + cell.y) * p.cells_x + cell.z;
    link = links[entry] & 0x7fffffffu;
    sum += parts[entry * p.pitch + unit];
  }
#if ${tail > 0}
  if (unit + 1u == p.pitch) { sum = select(vec4f(0.0), sum, vec4u(0u, 1u, 2u, 3u) < vec4u(${tail}u)); }
#endif
  dx[(((origin.x * p.d + voxel.x) * p.h + voxel.y) * p.w + voxel.z) * p.pitch + unit] += sum;
}
`,
  );
}
