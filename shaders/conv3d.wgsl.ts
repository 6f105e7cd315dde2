import { type Kernel, kernel } from '../engine/kernel.ts';
import type { Triple } from '../engine/shape.ts';
import { eachInputVec4, type InputVec4s } from './shared/input_vec4s.ts';
import { inputAt, joinedInput } from './shared/joined.ts';
import { addProducts, declareSums, directRow, outputOf, winogradRow } from './shared/row.ts';
import { flatIndex, flatMain, repeat, wgsl } from './shared/wgsl.ts';

/** vec4 weights in one uniform binding: 64 KiB, the size every adapter has. */
export const UNIFORM_WEIGHTS = 4096;

export interface Conv3dVariant extends InputVec4s {
  /** Taps and stride along z, y, x: constants, so that the taps along x unroll. */
  kernel: Triple;
  stride: Triple;
  /** Output voxels along x, and output channels in vec4 units, that one invocation owns. */
  tileX: number;
  tileC: number;
  /** Read the weights through a uniform buffer of UNIFORM_WEIGHTS vec4: software adapters load those far faster. */
  uniformWeights: boolean;
  /** F(4, 3) along x: three taps, stride 1, tileX a multiple of 4, weights packed for it. */
  winograd: boolean;
  /** Into how many invocations, and partial sums of y one after the other, the (z, y) taps are shared out. */
  split: number;
  /** w is the layer's own [taps, Cin, Cout], whose transpose with its taps in reverse (or not) is convolved with; from storage. */
  adjoint: 'flipped' | 'in order' | null;
  bias: boolean;
  /** The input is x and `also`, joined along the channels. */
  joined: boolean;
}

/**
 * conv3d: y[n,o,co] = bias[co] + sum over taps t and ci of x[n, o * stride - padding + t, ci] w[t,ci,co].
 *
 * layout   x, y NDHWC in vec4; w [taps, Cin, Cout], dispatched for `slice` vec4 of the output channels at a time
 * owns     tileX voxels of a row x tileC vec4 of output channels, all sums in registers; no workgroup memory
 * cost     per row of taps and 4 input channels: (tileX-1)*stride+kw loads of x, 4*kw*tileC of w, 16*kw*tileX*tileC fma; F(4, 3):
 *          twice the loads of w, half the fma
 * mirror   test/reference/conv3d.ts
 */
export function conv3dKernel(v: Conv3dVariant): Kernel {
  const [kd, kh, kw] = v.kernel;
  const [sz, sy, sx] = v.stride;
  const row = v.winograd ? winogradRow(v.tileX) : directRow(v.tileX, kw, sx);
  const tile = { row, tileC: v.tileC };
  const { weight, before } = weightReads(v);
  const products = (channels: number) => addProducts(tile, channels, 'x', weight, before);
  return kernel(
    `conv3d_${v.kernel.join('')}${v.winograd ? '_winograd' : ''}`,
    wgsl`
struct Params {
  count: u32, tiles: u32, groups: u32, samples: u32, depth: u32, height: u32, width: u32, cin: u32,
  out_depth: u32, out_height: u32, out_width: u32, cout4: u32, slice: u32, first: u32, owned: u32,
  pad_z: u32, pad_y: u32, pad_x: u32, own4: u32,
#if ${v.adjoint !== null}
  rows: u32, first_row: u32,
#endif
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
#if ${v.uniformWeights}
@group(0) @binding(2) var<uniform> w: array<vec4f, ${UNIFORM_WEIGHTS}>;
#else
@group(0) @binding(2) var<storage, read> w: array<vec4f>;
#endif
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;
#if ${v.bias}
@group(0) @binding(4) var<storage, read> bias: array<vec4f>;
#endif
${joinedInput(v, 5)}
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  let ox = (i % p.tiles) * ${v.tileX}u;
  var rest = i / p.tiles;
  let oy = rest % p.out_height;
  rest = rest / p.out_height;
  let oz = rest % p.out_depth;
  rest = rest / p.out_depth;
  let co = (rest % p.groups) * ${v.tileC}u;
  let volume = rest / p.groups;
  let n = volume % p.samples;
  let part = volume / p.samples;

  ${declareSums(tile)}
  let x_first = i32(ox * ${sx}u) - i32(p.pad_x);
  ${repeat(row.inputs, (s) => `let in${s} = x_first + ${s} >= 0 && x_first + ${s} < i32(p.width);`)}
  let cin4 = (p.cin + 3u) / 4u;
  let tap_step = p.cin * p.slice;
  let first_tap = part * ${(kd * kh) / v.split}u;
  for (var k = first_tap; k < first_tap + ${(kd * kh) / v.split}u; k++) {
    let z = i32(oz * ${sz}u + k / ${kh}u) - i32(p.pad_z);
    let yy = i32(oy * ${sy}u + k % ${kh}u) - i32(p.pad_y);
    if (z >= 0 && z < i32(p.depth) && yy >= 0 && yy < i32(p.height)) {
      let at = i32(((n * p.depth + u32(z)) * p.height + u32(yy)) * p.width) + x_first;
      for (var ci = 0u; ci < cin4; ci++) {
        ${repeat(row.inputs, (s) => `let x${s} = select(vec4f(0.0), ${inputAt(v, `u32(select(0, at + ${s}, in${s}))`)}, in${s});`)}
        ${row.prepare('x')}
        let tap = k * ${row.weights}u * tap_step + ci * 4u * p.slice + co;
        ${eachInputVec4(v, products)}
      }
    }
  }
  let out = (((volume * p.out_depth + oz) * p.out_height + oy) * p.out_width + ox) * p.cout4 + p.first + co;
  ${repeat(v.tileC, (o) => {
    const sum = (t: number) => `${outputOf(tile, t, o)}${v.bias ? ` + bias[p.first + co + ${o}u]` : ''}`;
    const stores = repeat(
      v.tileX,
      (t) => `if (ox + ${t}u < p.out_width) { y[out + ${t}u * p.cout4 + ${o}u] = ${sum(t)}; }`,
    );
    return `if (co + ${o}u < p.owned) {\n${stores}\n}`;
  })}
}
`,
  );
}

/**
 * The vec4 of weights of input channel c at tap j of a row, for output vec4 o: as they were packed, or out of the four rows of the
 * layer's own weights that a transpose has there, which serve four channels.
 */
function weightReads({ kernel: [kd, kh, kw], adjoint }: Conv3dVariant) {
  if (!adjoint) {
    return { weight: (j: number, c: number, o: number) => `w[tap + ${j}u * tap_step + ${c}u * p.slice + ${o}u]` };
  }
  const name = (j: number, o: number, r: number) => `w${j}_${o}_${r}`;
  const tap = (j: number) => (adjoint === 'flipped' ? `${kd * kh * kw - 1 - j}u - k * ${kw}u` : `k * ${kw}u + ${j}u`);
  const row = (j: number, o: number, r: number) => `(${tap(j)}) * p.rows + p.first_row + (co + ${o}u) * 4u + ${r}u`;
  return {
    weight: (j: number, c: number, o: number) => `vec4f(${[0, 1, 2, 3].map((r) => `${name(j, o, r)}.${'xyzw'[c]}`)})`,
    before: (j: number, outputs: number) =>
      repeat(outputs, (o) => repeat(4, (r) => `let ${name(j, o, r)} = w[(${row(j, o, r)}) * cin4 + ci];`)),
  };
}
