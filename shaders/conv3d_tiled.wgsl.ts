import { type Kernel, kernel } from '../engine/kernel.ts';
import { product, type Triple } from '../engine/shape.ts';
import { boxCorner, inputVoxel, oddPitch } from './shared/box.ts';
import { copyElements } from './shared/copy.ts';
import { eachInputVec4, type InputVec4s } from './shared/input_vec4s.ts';
import { inputAt, inputNorm, joinedInput } from './shared/joined.ts';
import {
  momentsBytes,
  momentsLength,
  momentsMemory,
  momentsMerge,
  momentsStore,
  momentsWrite,
  type WorkgroupMoments,
} from './shared/moments.ts';
import { normedInput } from './shared/normed.ts';
import { addProducts, declareSums, directRow, outputOf, winogradRow } from './shared/row.ts';
import { groupMain, repeat, wgsl } from './shared/wgsl.ts';

export interface Conv3dTile extends InputVec4s {
  /** Stride is 1. */
  kernel: Triple;
  /** Invocations of a workgroup along z, y, x. */
  lanes: Triple;
  /** Output voxels along x, and output channels in vec4 units, that one invocation owns. */
  tileX: number;
  tileC: number;
  /** F(4, 3) along x: three taps, tileX a multiple of 4. */
  winograd: boolean;
  /** Copy the weights of a channel chunk into workgroup memory too, or read them where they are, packed for F(4, 3). */
  weights: 'workgroup' | 'storage';
  /** An input gradient: w [taps, columns of w, Cin] is flipped and transposed while it is copied, from column `first` on. */
  adjoint: boolean;
  bias: boolean;
  /** The input is x and `also`, joined along the channels. */
  joined: boolean;
  /** The last of the inputs is read through its norm and activation. */
  normed: boolean;
  /** Leaves the moments of every box of y too, for the norm behind. */
  moments: boolean;
}

const sumOver = (n: number, term: (t: number) => string) => Array.from({ length: n }, (_, t) => term(t)).join(' + ');

const rowOf = ({ tileX, kernel, winograd }: Conv3dTile) =>
  winograd ? winogradRow(tileX) : directRow(tileX, kernel[2], 1);

/** Rows, columns and vec4 of the input tile, and vec4 of workgroup memory in all. */
function layout(v: Conv3dTile) {
  const { tileX, tileC, weights } = v;
  const [kd, kh, kw] = v.kernel;
  const [lz, ly, lx] = v.lanes;
  const width = lx * tileX + kw - 1;
  const height = ly + kh - 1;
  const depth = lz + kd - 1;
  const pitch = oddPitch(width);
  const staged = weights === 'workgroup' ? kd * kh * rowOf(v).weights * 4 * tileC : 0;
  const lanes = lz * ly * lx;
  const merged: WorkgroupMoments = { size: lanes, columns: tileC, slots: lanes, memory: 'tile' };
  const tile = Math.max(depth * height * pitch, v.moments ? momentsLength(merged) : 0);
  return { width, height, depth, pitch, staged, merged, tile };
}

/** Bytes of workgroup memory. */
export function tileBytes(v: Conv3dTile): number {
  const { tile, staged, merged } = layout(v);
  return (tile + staged) * 16 + (v.moments ? momentsBytes(merged) : 0);
}

/**
 * conv3d_tiled: y[n,o,co] = bias[co] + sum over taps t and ci of x[n, o - padding + t, ci] w[t,ci,co].
 *
 * layout   x, y NDHWC in vec4; w [taps, Cin, Cout] in vec4; moments [N, boxes, {mean, M2, count}, Cout] of y before any
 *          rounding to bfloat16
 * owns     a workgroup: a box of lanes x tileX voxels x tileC vec4 of output channels; an invocation: tileX voxels of a row.
 *          Four input channels at a time lie in workgroup memory with their halo, each read once per workgroup
 * cost     per row of taps and 4 input channels: tileX-1+kw reads of the tile, 4*kw*tileC of w, 16*kw*tileX*tileC fma; two
 *          barriers per 4 input channels, so no kernel for adapters that compute on a CPU
 * mirror   test/reference/conv3d.ts
 */
export function conv3dTiledKernel(v: Conv3dTile): Kernel {
  const [kd, kh, kw] = v.kernel;
  const [lz, ly, lx] = v.lanes;
  const size = lz * ly * lx;
  const { width, height, depth, pitch, staged, merged, tile } = layout(v);
  const row = rowOf(v);
  const box = { row, tileC: v.tileC };
  const products = (channels: number) =>
    addProducts(box, channels, 'x', (j, c, o) =>
      v.weights === 'workgroup'
        ? `weights[tap + ${(j * 4 + c) * v.tileC + o}u]`
        : `w[tap + (${j}u * p.cin + ${c}u) * p.cout4 + ${o}u]`,
    );
  const tapNames = (e: number) => Array.from({ length: kw }, (_, t) => `w${e}_${t}`);
  /** The taps along x of one input channel and vec4 of output channels. */
  const loadTaps = (e: number) => `
      let channel${e} = ci * 4u + c${e};
      let real${e} = channel${e} < p.cin;
      let at${e} = select(0u, (k${e} * ${kw}u * p.cin + channel${e}) * p.cout4 + co + o${e}, real${e});
      ${tapNames(e)
        .map((tap, t) => `let ${tap} = select(vec4f(0.0), w[at${e} + ${t}u * p.cin * p.cout4], real${e});`)
        .join('\n')}`;
  /** The same of an adjoint: a row of w is an output channel here. */
  const loadTransposed = (e: number) => `
      let column${e} = (co + o${e}) * 4u;
      ${tapNames(e)
        .map((tap, t) => {
          const row = `(${product(v.kernel) - 1 - t}u - k${e} * ${kw}u) * p.columns_of_w + p.first + column${e}`;
          const element = (c: number) =>
            `select(0.0, w[select(0u, (${row} + ${c}u) * cin4 + ci, column${e} + ${c}u < p.columns)][c${e}], column${e} + ${c}u < p.columns)`;
          return `let ${tap} = vec4f(${[0, 1, 2, 3].map(element).join(', ')});`;
        })
        .join('\n')}`;
  return kernel(
    `conv3d_tiled_${v.kernel.join('')}${v.winograd ? '_winograd' : ''}`,
    wgsl`
struct Params {
  count: u32, tiles_x: u32, tiles_y: u32, tiles_z: u32, groups: u32, depth: u32, height: u32, width: u32, cin: u32,
  out_depth: u32, out_height: u32, out_width: u32, cout4: u32, pad_z: u32, pad_y: u32, pad_x: u32,
  own4: u32, slope: f32,
  #if ${v.adjoint}
  columns_of_w: u32, first: u32, columns: u32,
  #endif
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> w: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;
#if ${v.bias}
@group(0) @binding(4) var<storage, read> bias: array<vec4f>;
#endif
${joinedInput(v, 5)}
${normedInput(v.normed, 6)}
#if ${v.moments}
@group(0) @binding(9) var<storage, read_write> moments: array<vec4f>;
${momentsMemory(merged)}
#endif
var<workgroup> tile: array<vec4f, ${tile}>;
#if ${staged > 0}
var<workgroup> weights: array<vec4f, ${staged}>;
#endif

${groupMain(size)}
  let co = (i % p.groups) * ${v.tileC}u;
  ${boxCorner('i / p.groups', [lz, ly, lx * v.tileX])}
  let lane_y = local % ${ly}u;
  let lane_x = ((local / ${ly}u) % ${lx}u) * ${v.tileX}u;
  let lane_z = local / ${ly * lx}u;

  ${declareSums(box)}
  let cin4 = (p.cin + 3u) / 4u;
  for (var ci = 0u; ci < cin4; ci++) {
    workgroupBarrier();
    ${inputNorm(v, 'norm', 'n')}
    ${copyElements(
      { count: width * height * depth, stride: size, lane: 'local', atOnce: 3 },
      (e) => `${inputVoxel([depth, height, width], e)}
      let value${e} = ${inputAt(v, `voxel${e}`, 'norm')};`,
      (e) => `tile[(hz${e} * ${height}u + hy${e}) * ${pitch}u + hx${e}] = select(vec4f(0.0), value${e}, inside${e});`,
    )}
    #if ${staged > 0}
    ${copyElements(
      { count: kd * kh * 4 * v.tileC, stride: size, lane: 'local', atOnce: v.adjoint ? 1 : 3 },
      (e) => `
      let o${e} = j${e} % ${v.tileC}u;
      let c${e} = (j${e} / ${v.tileC}u) % 4u;
      let k${e} = min(j${e} / ${4 * v.tileC}u, ${kd * kh - 1}u);
      ${v.adjoint ? loadTransposed(e) : loadTaps(e)}`,
      (e) => {
        const { code, weights } = row.weigh(tapNames(e), `w${e}`);
        const at = (j: number) => `(k${e} * ${row.weights}u + ${j}u) * ${4 * v.tileC}u + j${e} % ${4 * v.tileC}u`;
        return [code, ...weights.map((weight, j) => `weights[${at(j)}] = ${weight};`)].join('\n');
      },
    )}
    #endif
    workgroupBarrier();
    for (var k = 0u; k < ${kd * kh}u; k++) {
      let at = ((lane_z + k / ${kh}u) * ${height}u + lane_y + k % ${kh}u) * ${pitch}u + lane_x;
      ${repeat(row.inputs, (s) => `let x${s} = tile[at + ${s}u];`)}
      ${row.prepare('x')}
      #if ${staged > 0}
      let tap = k * ${row.weights * 4 * v.tileC}u;
      #else
      let tap = (k * ${row.weights}u * p.cin + ci * 4u) * p.cout4 + co;
      #endif
      ${eachInputVec4(v, products)}
    }
  }
  let ox = box_x + lane_x;
  let oy = box_y + lane_y;
  let oz = box_z + lane_z;
  let in_rows = oy < p.out_height && oz < p.out_depth;
  let out = (((n * p.out_depth + oz) * p.out_height + oy) * p.out_width + ox) * p.cout4 + co;
  ${repeat(v.tileX, (t) => {
    const sum = (o: number) => `${outputOf(box, t, o)}${v.bias ? ` + bias[co + ${o}u]` : ''}`;
    return `
  let inside_${t} = in_rows && ox + ${t}u < p.out_width;
  ${repeat(v.tileC, (o) => `let y_${t}_${o} = ${sum(o)};`)}
  if (inside_${t}) {
    ${repeat(v.tileC, (o) => `y[out + ${t}u * p.cout4 + ${o}u] = y_${t}_${o};`)}
  }`;
  })}
  #if ${v.moments}
  workgroupBarrier();
  let seen = ${sumOver(v.tileX, (t) => `f32(inside_${t})`)};
  slot_counts[local] = seen;
  ${repeat(v.tileC, (o) => {
    const mean = sumOver(v.tileX, (t) => `select(vec4f(0.0), y_${t}_${o}, inside_${t})`);
    const m2 = sumOver(
      v.tileX,
      (t) => `select(vec4f(0.0), (y_${t}_${o} - mean_${o}) * (y_${t}_${o} - mean_${o}), inside_${t})`,
    );
    return `
  let mean_${o} = (${mean}) / max(seen, 1.0);
  let own_${o} = Moments(mean_${o}, ${m2}, seen);
  ${momentsStore(merged, `${o}u`, 'local', `own_${o}`)}`;
  })}
  ${momentsMerge(merged, momentsWrite('co + column'))}
  #endif
}
`,
  );
}
