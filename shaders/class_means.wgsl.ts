import { type Kernel, kernel } from '../engine/kernel.ts';
import { interpolation } from './shared/interpolation.ts';
import { flatIndex, flatMain, repeat, wgsl } from './shared/wgsl.ts';

/** Classes that class_weights handles at once. */
export const CLASS_GROUP = 4;

/**
 * class_mask: 1 where a voxel is of the column's class, else 0.
 *
 * layout   codes u32 [voxels] from `begin` on (2 class + hard, others are of none); y [rows, pitch vec4]
 * owns     one vec4
 * cost     memory bound
 * mirror   the dense head in test/action/representation.test.ts
 */
export function classMaskKernel(): Kernel {
  return kernel(
    'class_mask',
    wgsl`
struct Params { count: u32, pitch: u32, begin: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> codes: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  let label = codes[p.begin + i / p.pitch] / 2u;
  let column = vec4u(i % p.pitch * 4u) + vec4u(0u, 1u, 2u, 3u);
  y[i] = select(vec4f(0.0), vec4f(1.0), column == vec4u(label));
}
`,
  );
}

/**
 * class_weights_x: how much each voxel u of a level's rows counts in the sum, over the voxels v of a class in a row of the
 * patch, of the level resized along x and read at v + tx: the adjoint of the resizing applied to the class's mask shifted by
 * tx = -1, 0, 1. Taps that leave the patch count nothing.
 *
 * layout   codes u32 [rows, ow] (2 class + hard, others take no part) from `begin` on; y [rows, w, pitch vec4], columns
 *          (tx, class - first), padded with zeros
 * owns     one voxel of the level in one row
 * cost     about 2 ow / w + 2 reads of codes
 * mirror   the dense head in test/action/representation.test.ts
 */
export function classWeightsXKernel(first: number, classes: number): Kernel {
  const columns = Array.from({ length: Math.ceil((3 * classes) / 4) * 4 }, (_, c) => c);
  const units = columns.length / 4;
  const four = (unit: number, value: (column: number) => string) =>
    columns
      .slice(4 * unit, 4 * unit + 4)
      .map(value)
      .join(', ');
  const label = (column: number) => (column < 3 * classes ? `${first + (column % classes)}u` : '0xffffffffu');
  const shifted = (column: number) => (column < 3 * classes ? `shifted.${'xyz'[Math.floor(column / classes)]}` : '0.0');
  return kernel(
    'class_weights_x',
    wgsl`
struct Params { count: u32, begin: u32, w: u32, ow: u32, step: i32, bias: i32, den: i32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> codes: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;
${interpolation}
${flatIndex}
// What the level's voxel u counts at x of the patch, 0 outside.
fn counts(x: i32, u: u32) -> f32 {
  return select(0.0, weight(x, u, p.w, p.step, p.bias, p.den) / f32(p.den), x >= 0 && x < i32(p.ow));
}
${flatMain}
  if (i >= p.count) { return; }
  let u = i % p.w;
  let row = p.begin + i / p.w * p.ow;
  let r = readers(u, p.ow, p.step, p.bias, p.den);
  ${repeat(units, (unit) => `var sum${unit} = vec4f(0.0);`)}
  let begin = max(r.first - 1, 0);
  var shifted = vec3f(0.0, counts(begin - 1, u), counts(begin, u));
  for (var x = begin; x < min(r.end + 1, i32(p.ow)); x++) {
    shifted = vec3f(shifted.yz, counts(x + 1, u));
    let label = vec4u(codes[row + u32(x)] / 2u);
    ${repeat(
      units,
      (unit) =>
        `sum${unit} += select(vec4f(0.0), vec4f(${four(unit, shifted)}), label == vec4u(${four(unit, label)}));`,
    )}
  }
  ${repeat(units, (unit) => `y[i * ${units}u + ${unit}u] = sum${unit};`)}
}
`,
  );
}

/** Voxels along the axis that an invocation of class_weights_axis owns. */
export const AXIS_TILE = 4;

/**
 * class_weights_axis: the same along another axis, for all columns of x: y[u, t] = sum over v of x[v] times what u counts at
 * v + t.
 *
 * layout   x [outer, out, inner, columns vec4]; y [outers, planes, inner, 3 shifts, columns vec4], for u = first_u.. and
 *          outer = first_outer..
 * owns     one vec4 of x's columns for AXIS_TILE neighbouring u: their three shifts
 * cost     about (AXIS_TILE + 1) out / size + 2 loads, three stores a u
 * mirror   the dense head in test/action/representation.test.ts
 */
export function classWeightsAxisKernel(): Kernel {
  const us = (line: (k: number) => string) => repeat(AXIS_TILE, line);
  return kernel(
    'class_weights_axis',
    wgsl`
struct Params {
  count: u32, first_outer: u32, first_u: u32, planes: u32, tiles: u32, columns: u32, inner: u32, size: u32, out: u32,
  step: i32, bias: i32, den: i32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;
${interpolation}
${flatIndex}
fn counts(v: i32, u: u32) -> f32 {
  return select(0.0, weight(v, u, p.size, p.step, p.bias, p.den) / f32(p.den), v >= 0 && v < i32(p.out));
}
${flatMain}
  if (i >= p.count) { return; }
  let column = i % p.columns;
  var rest = i / p.columns;
  let at = rest % p.inner;
  rest = rest / p.inner;
  let tile = rest % p.tiles * ${AXIS_TILE}u;
  let outer = rest / p.tiles;
  let u = p.first_u + tile;
  let begins = ((outer + p.first_outer) * p.out * p.inner + at) * p.columns + column;
  let begin = max(readers(u, p.out, p.step, p.bias, p.den).first - 1, 0);
  let last = min(u + ${AXIS_TILE - 1}u, p.size - 1u);
  let end = min(readers(last, p.out, p.step, p.bias, p.den).end + 1, i32(p.out));
  ${us((k) => `var shifted${k} = vec3f(0.0, counts(begin - 1, u + ${k}u), counts(begin, u + ${k}u));`)}
  ${us((k) => repeat(3, (t) => `var sum${k}_${t} = vec4f(0.0);`))}
  for (var v = begin; v < end; v++) {
    let value = x[begins + u32(v) * p.inner * p.columns];
    ${us((k) => `shifted${k} = vec3f(shifted${k}.yz, counts(v + 1, u + ${k}u));`)}
    ${us((k) => repeat(3, (t) => `sum${k}_${t} += shifted${k}.${'xyz'[t]} * value;`))}
  }
  var to = ((outer * p.planes + tile) * p.inner + at) * 3u * p.columns + column;
  ${us(
    (k) => `if (tile + ${k}u < p.planes) {
    ${repeat(3, (t) => `y[to + ${t}u * p.columns] = sum${k}_${t};`)}
  }
  to += p.inner * 3u * p.columns;`,
  )}
}
`,
  );
}

/**
 * add_class_means: y[class, tap, channels of a level] += x / voxels of the class.
 *
 * layout   x [9 tap lines, line_rows, pitch vec4], of each line's rows the first 3 classes: (tx, class - first); with `flip`
 *          taps run backwards; totals u32 [2 classes]; y [classes, 27, tap_pitch vec4], this level's from `at`
 * owns     one vec4
 */
export function addClassMeansKernel(): Kernel {
  return kernel(
    'add_class_means',
    wgsl`
struct Params {
  count: u32, pitch: u32, line_rows: u32, first: u32, classes: u32, flip: u32, tap_pitch: u32, at: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> totals: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  let row = i / p.pitch;
  let in_line = row % p.line_rows;
  if (in_line >= 3u * p.classes) { return; }
  let label = p.first + in_line % p.classes;
  let straight = row / p.line_rows * 3u + in_line / p.classes;
  let tap = select(straight, 26u - straight, p.flip != 0u);
  y[(label * 27u + tap) * p.tap_pitch + p.at + i % p.pitch] += x[i] / f32(max(totals[2u * label], 1u));
}
`,
  );
}
