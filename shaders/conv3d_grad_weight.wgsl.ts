import { type Kernel, kernel } from '../engine/kernel.ts';
import type { Triple } from '../engine/shape.ts';
import { activated, normedInput, normOf } from './shared/normed.ts';
import { flatIndex, flatMain, repeat, wgsl } from './shared/wgsl.ts';

export interface GradWeightVariant {
  kernel: Triple;
  stride: Triple;
  /** Output voxels along x taken in one turn of the loop. */
  unroll: number;
  /** vec4 of input and of output channels that one invocation owns. */
  tileI: number;
  tileC: number;
  /** Input channels that matter in each vec4: fewer than four for images of one to three channels. */
  lanes: number;
  /** x is read through its norm and activation. */
  normed: boolean;
}

/**
 * conv3d_grad_weight, stage 1: partial[chunk, t, ci, co] = sum over the chunk's output rows o of
 * x[n, o * stride - padding + t, ci] dy[n,o,co]. Stage 2 (sum_partials) adds the chunks in a fixed order.
 *
 * layout   x, dy NDHWC in vec4; partial [chunk, taps, Cin padded to 4, Cout] in vec4
 * owns     for one (z, y) tap pair and one chunk of rows: all taps along x x 4*tileI input x 4*tileC output channels, all
 *          sums in registers; tileI and tileC divide the channels
 * cost     per voxel: about tileI loads of x, tileC of dy, 16*kw*tileI*tileC fma; no atomics, no workgroup memory
 * mirror   test/reference/conv3d.ts (conv3dGradWeight)
 */
export function conv3dGradWeightKernel(v: GradWeightVariant): Kernel {
  const [, kh, kw] = v.kernel;
  const [sz, sy, sx] = v.stride;
  const span = (v.unroll - 1) * sx + kw;
  const each = (line: (kx: number, j: number, c: number, o: number) => string) =>
    repeat(kw, (kx) => repeat(v.tileI, (j) => repeat(v.lanes, (c) => repeat(v.tileC, (o) => line(kx, j, c, o)))));
  return kernel(
    `conv3d_grad_weight_${v.kernel.join('')}`,
    wgsl`
struct Params {
  count: u32, chunk_rows: u32, rows: u32, rows_zy: u32, depth: u32, height: u32, width: u32, cin4: u32, groups_in: u32,
  out_depth: u32, out_height: u32, out_width: u32, cout4: u32, groups_out: u32, pad_z: u32, pad_y: u32, pad_x: u32,
  slope: f32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> dy: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> partial: array<vec4f>;
${normedInput(v.normed, 4)}
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  let co = (i % p.groups_out) * ${v.tileC}u;
  var rest = i / p.groups_out;
  let ci = (rest % p.groups_in) * ${v.tileI}u;
  rest = rest / p.groups_in;
  let tap = rest % p.rows_zy;
  let chunk = rest / p.rows_zy;

  ${each((kx, j, c, o) => `var a${kx}_${j}_${c}_${o} = vec4f(0.0);`)}
  let last = min((chunk + 1u) * p.chunk_rows, p.rows);
  for (var row = chunk * p.chunk_rows; row < last; row++) {
    let oy = row % p.out_height;
    let oz = (row / p.out_height) % p.out_depth;
    let n = row / (p.out_height * p.out_depth);
    let z = i32(oz * ${sz}u + tap / ${kh}u) - i32(p.pad_z);
    let yy = i32(oy * ${sy}u + tap % ${kh}u) - i32(p.pad_y);
    if (z >= 0 && z < i32(p.depth) && yy >= 0 && yy < i32(p.height)) {
      ${repeat(v.tileI, (j) => normOf(v.normed, `norm${j}`, 'n', `ci + ${j}u`, 'p.cin4'))}
      let x_row = ((n * p.depth + u32(z)) * p.height + u32(yy)) * p.width;
      for (var ox = 0u; ox < p.out_width; ox += ${v.unroll}u) {
        let first = i32(ox * ${sx}u) - i32(p.pad_x);
        ${repeat(
          span,
          (s) => `let in${s} = first + ${s} >= 0 && first + ${s} < i32(p.width);
        let at${s} = (x_row + u32(select(0, first + ${s}, in${s}))) * p.cin4 + ci;
        ${repeat(v.tileI, (j) => `let x${s}_${j} = select(vec4f(0.0), ${activated(v.normed, `x[at${s} + ${j}u]`, `norm${j}`)}, in${s});`)}`,
        )}
        ${repeat(
          v.unroll,
          (u) => `{
          let inside = ox + ${u}u < p.out_width;
          let g_at = select(0u, (row * p.out_width + ox + ${u}u) * p.cout4 + co, inside);
          ${repeat(v.tileC, (o) => `let g${o} = select(vec4f(0.0), dy[g_at + ${o}u], inside);`)}
          ${each((kx, j, c, o) => `a${kx}_${j}_${c}_${o} = fma(vec4f(x${u * sx + kx}_${j}.${'xyzw'[c]}), g${o}, a${kx}_${j}_${c}_${o});`)}
        }`,
        )}
      }
    }
  }
  let out = ((chunk * p.rows_zy + tap) * ${kw}u * p.cin4 + ci) * 4u * p.cout4 + co;
  ${each((kx, j, c, o) => `partial[out + (${kx}u * p.cin4 * 4u + ${4 * j + c}u) * p.cout4 + ${o}u] = a${kx}_${j}_${c}_${o};`)}
}
`,
  );
}
