import { type Kernel, kernel } from '../engine/kernel.ts';
import type { Triple } from '../engine/shape.ts';
import { UNIFORM_WEIGHTS } from './conv3d.wgsl.ts';
import { eachInputVec4, type InputVec4s } from './shared/input_vec4s.ts';
import { addedTo, addProductsBySum, declareSums, directRow, outputOf, winogradRow } from './shared/row.ts';
import { repeat, wgsl } from './shared/wgsl.ts';

/**
 * Convolution for adapters that read uniform buffers much faster than storage buffers (llvmpipe: about ten times, since a
 * storage load is a bounds-checked branch per lane and component). Activations, too, are read through uniform bindings: a
 * window of at most 64 KiB that holds some rows of one z plane. One dispatch covers one output plane (or a band of its
 * rows), and the host binds the planes above, at and below it.
 */

/** Invocations in a workgroup: few, so that a plane's rows spread over all cores. */
const WORKGROUP = 16;

const main = wgsl`
@compute @workgroup_size(${WORKGROUP})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let i = id.x;
`;

export interface WindowConvVariant extends InputVec4s {
  /** Stride is 1. */
  kernel: Triple;
  tileX: number;
  tileC: number;
  /** F(4, 3) along x: three taps, tileX a multiple of 4, weights packed for it. */
  winograd: boolean;
  bias: boolean;
  /** vec4 in each window of x. */
  window: number;
}

/**
 * conv3d_windows: y[o, co] = bias[co] + sum over taps t and ci of x[o - padding + t, ci] w[t, ci, co] for the rows of one
 * output plane.
 *
 * layout   x0, x1, … windows of the planes that kz = 0, 1, … reads; w one slice of UNIFORM_WEIGHTS vec4; y NDHWC
 * owns     tileX voxels of a row x tileC vec4 of output channels, all sums in variables
 * mirror   test/reference/conv3d.ts
 */
export function conv3dWindowsKernel(v: WindowConvVariant): Kernel {
  const [kd, kh, kw] = v.kernel;
  const row = v.winograd ? winogradRow(v.tileX) : directRow(v.tileX, kw, 1);
  const tile = { row, tileC: v.tileC };
  const products = (channels: number, x: string, first: string) =>
    addProductsBySum(
      tile,
      channels,
      x,
      (j, c, o) => `w[tap + ${j}u * tap_step + (${first} + ${c}u) * p.slice + ${o}u]`,
    );
  /** Two channels at a time: half as much to compile, which takes llvmpipe seconds, for 3 % of a training step's time. */
  const inPairs = (x: string) => wgsl`
        for (var pair = 0u; pair < 4u; pair += 2u) {
          ${repeat(row.inputs, (s) => `let pair_${s} = select(${x}${s}.zw, ${x}${s}.xy, pair == 0u);`)}
          ${products(2, 'pair_', 'pair')}
        }`;
  const contribution = (x: string, channels: number) =>
    channels === 4 && !v.winograd ? inPairs(x) : products(channels, x, '0u');
  const plane = (kz: number) => wgsl`
  if ((p.planes & ${1 << kz}u) != 0u) {
    for (var ky = 0u; ky < ${kh}u; ky++) {
      let yy = i32(oy + ky) - i32(p.pad_y);
      let row_in = yy >= 0 && yy < i32(p.height);
      let at = p.base${kz} + (yy * i32(p.width) + x_first) * i32(cin4);
      for (var ci = 0u; ci < cin4; ci++) {
        ${repeat(
          row.inputs,
          (s) => `let ok${s} = row_in && in${s};
        let x${kz}_${s} = select(vec4f(0.0), x${kz}[u32(select(0, at + ${s} * i32(cin4) + i32(ci), ok${s}))], ok${s});`,
        )}
        ${row.prepare(`x${kz}_`)}
        let tap = (${kz * kh}u + ky) * ${row.weights}u * tap_step + ci * 4u * p.slice + co;
        ${eachInputVec4(v, (channels) => contribution(`x${kz}_`, channels))}
      }
    }
  }
`;
  return kernel(
    `conv3d_windows_${v.kernel.join('')}${v.winograd ? '_winograd' : ''}`,
    wgsl`
struct Params {
  count: u32, tiles: u32, rows: u32, first_row: u32, height: u32, width: u32, cin: u32, out_width: u32,
  cout4: u32, slice: u32, first: u32, out_plane: u32, pad_y: u32, pad_x: u32, planes: u32,
  ${repeat(kd, (kz) => `base${kz}: i32,`)}
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<uniform> w: array<vec4f, ${UNIFORM_WEIGHTS}>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;
${repeat(kd, (kz) => `@group(0) @binding(${3 + kz}) var<uniform> x${kz}: array<vec4f, ${v.window}>;`)}
#if ${v.bias}
@group(0) @binding(${3 + kd}) var<storage, read> bias: array<vec4f>;
#endif
${main}
  if (i >= p.count) { return; }
  let ox = (i % p.tiles) * ${v.tileX}u;
  let oy = p.first_row + (i / p.tiles) % p.rows;
  let co = (i / (p.tiles * p.rows)) * ${v.tileC}u;
  let cin4 = (p.cin + 3u) / 4u;
  let tap_step = p.cin * p.slice;
  let x_first = i32(ox) - i32(p.pad_x);
  ${repeat(row.inputs, (s) => `let in${s} = x_first + ${s} >= 0 && x_first + ${s} < i32(p.width);`)}
  ${declareSums(tile)}
  ${repeat(kd, plane)}
  let out = p.out_plane + (oy * p.out_width + ox) * p.cout4 + p.first + co;
  ${repeat(v.tileC, (o) => {
    const sum = (t: number) => `${outputOf(tile, t, o)}${v.bias ? ` + bias[p.first + co + ${o}u]` : ''}`;
    return repeat(v.tileX, (t) => `if (ox + ${t}u < p.out_width) { y[out + ${t}u * p.cout4 + ${o}u] = ${sum(t)}; }`);
  })}
}
`,
  );
}

export interface WindowGradWeightVariant {
  kernel: Triple;
  unroll: number;
  /** vec4 of input and output channels that one invocation owns; they divide the channels. */
  tileI: number;
  tileC: number;
  /** Input channels that matter in each vec4. */
  lanes: number;
  /** vec4 in the windows of x and dy. */
  windowX: number;
  windowDy: number;
}

/**
 * conv3d_grad_weight_windows: partial[chunk, t, ci, co] = sum over some rows of one output plane of
 * x[o - padding + t, ci] dy[o, co] for the taps of one kz; the rest as in conv3d_grad_weight.
 *
 * layout   x the window of the plane that kz reads, dy the one of the output plane; partial [chunk, taps, Cin, Cout]
 * owns     for one ky and `chunk_rows` rows: all taps along x x 4*tileI input x 4*tileC output channels, in variables
 * mirror   test/reference/conv3d.ts (conv3dGradWeight)
 */
export function conv3dGradWeightWindowsKernel(v: WindowGradWeightVariant): Kernel {
  const [, kh, kw] = v.kernel;
  const span = v.unroll - 1 + kw;
  const each = (line: (kx: number, j: number, c: number, o: number) => string) =>
    repeat(kw, (kx) => repeat(v.tileI, (j) => repeat(v.lanes, (c) => repeat(v.tileC, (o) => line(kx, j, c, o)))));
  const products = (kx: number, j: number, c: number, o: number) =>
    Array.from({ length: v.unroll }, (_, u) => ({ a: `vec4f(x${u + kx}_${j}.${'xyzw'[c]})`, b: `g${u}_${o}` }));
  return kernel(
    `conv3d_grad_weight_windows_${v.kernel.join('')}`,
    wgsl`
struct Params {
  count: u32, groups_in: u32, groups_out: u32, kz: u32, first_chunk: u32, chunk_rows: u32, first_row: u32, last_row: u32,
  height: u32, width: u32, cin4: u32, out_width: u32, cout4: u32, rows_zy: u32, pad_y: u32, pad_x: u32,
  base_x: i32, base_dy: i32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<uniform> x: array<vec4f, ${v.windowX}>;
@group(0) @binding(2) var<uniform> dy: array<vec4f, ${v.windowDy}>;
@group(0) @binding(3) var<storage, read_write> partial: array<vec4f>;
${main}
  if (i >= p.count) { return; }
  let co = (i % p.groups_out) * ${v.tileC}u;
  var rest = i / p.groups_out;
  let ci = (rest % p.groups_in) * ${v.tileI}u;
  rest = rest / p.groups_in;
  let ky = rest % ${kh}u;
  let chunk = rest / ${kh}u;

  ${each((kx, j, c, o) => `var a${kx}_${j}_${c}_${o} = vec4f(0.0);`)}
  let begin = p.first_row + chunk * p.chunk_rows;
  let end = min(begin + p.chunk_rows, p.last_row);
  for (var oy = begin; oy < end; oy++) {
    let yy = i32(oy + ky) - i32(p.pad_y);
    if (yy >= 0 && yy < i32(p.height)) {
      for (var ox = 0u; ox < p.out_width; ox += ${v.unroll}u) {
        let first = i32(ox) - i32(p.pad_x);
        let at = p.base_x + (yy * i32(p.width) + first) * i32(p.cin4) + i32(ci);
        ${repeat(
          span,
          (s) => `let in${s} = first + ${s} >= 0 && first + ${s} < i32(p.width);
        let at${s} = u32(select(0, at + ${s} * i32(p.cin4), in${s}));
        ${repeat(v.tileI, (j) => `let x${s}_${j} = select(vec4f(0.0), x[at${s} + ${j}u], in${s});`)}`,
        )}
        ${repeat(
          v.unroll,
          (u) => `let inside${u} = ox + ${u}u < p.out_width;
        let g_at${u} = u32(select(0, p.base_dy + i32(((oy * p.out_width) + ox + ${u}u) * p.cout4 + co), inside${u}));
        ${repeat(v.tileC, (o) => `let g${u}_${o} = select(vec4f(0.0), dy[g_at${u} + ${o}u], inside${u});`)}`,
        )}
        ${each((kx, j, c, o) => `a${kx}_${j}_${c}_${o} = ${addedTo(`a${kx}_${j}_${c}_${o}`, products(kx, j, c, o))};`)}
      }
    }
  }
  let tap = p.kz * ${kh}u + ky;
  let out = (((p.first_chunk + chunk) * p.rows_zy + tap) * ${kw}u * p.cin4 + ci) * 4u * p.cout4 + co;
  ${each((kx, j, c, o) => `partial[out + (${kx}u * p.cin4 * 4u + ${4 * j + c}u) * p.cout4 + ${o}u] = a${kx}_${j}_${c}_${o};`)}
}
`,
  );
}
