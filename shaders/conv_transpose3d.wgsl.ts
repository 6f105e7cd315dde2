import { type Kernel, kernel } from '../engine/kernel.ts';
import type { Triple } from '../engine/shape.ts';
import { eachInputVec4, type InputVec4s } from './shared/input_vec4s.ts';
import { flatIndex, flatMain, repeat, wgsl } from './shared/wgsl.ts';

export interface ConvTranspose3dVariant extends InputVec4s {
  /** Taps and stride along z, y, x. */
  kernel: Triple;
  stride: Triple;
  /** Output voxels of one phase along x that one invocation owns. */
  tileX: number;
  bias: boolean;
}

/**
 * conv_transpose3d: y[n,o,co] = bias[co] + sum over taps t with (o + padding - t) divisible by the stride, and ci, of
 * x[n, (o + padding - t) / stride, ci] w[t,ci,co]: the adjoint of conv3d, as a gather.
 *
 * layout   x, y NDHWC in vec4; w [taps, Cin, Cout]
 * owns     tileX voxels of a row that lie `stride` apart (one phase: they use the same taps) x 4 output channels
 * cost     per tap and 4 input channels: tileX loads of x, 4 of w, 16*tileX fma; taps of other phases are never visited
 * mirror   test/reference/conv_transpose3d.ts
 */
export function convTranspose3dKernel(v: ConvTranspose3dVariant): Kernel {
  const [kd, kh, kw] = v.kernel;
  const [sz, sy, sx] = v.stride;
  const accumulate = (lanes: number) =>
    repeat(lanes, (c) =>
      [
        `{ let w0 = w[tap + ${c}u * p.cout4];`,
        repeat(v.tileX, (t) => `a${t} = fma(vec4f(x${t}.${'xyzw'[c]}), w0, a${t});`),
        '}',
      ].join('\n'),
    );
  return kernel(
    `conv_transpose3d_${v.kernel.join('')}`,
    wgsl`
struct Params {
  count: u32, tiles: u32, depth: u32, height: u32, width: u32, cin: u32,
  out_depth: u32, out_height: u32, out_width: u32, cout4: u32, pad_z: u32, pad_y: u32, pad_x: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> w: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;
#if ${v.bias}
@group(0) @binding(4) var<storage, read> bias: array<vec4f>;
#endif
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  let co = i % p.cout4;
  var rest = i / p.cout4;
  let phase = rest % ${sx}u;
  rest = rest / ${sx}u;
  let ox = (rest % p.tiles) * ${v.tileX * sx}u + phase;
  rest = rest / p.tiles;
  let oy = rest % p.out_height;
  rest = rest / p.out_height;
  let oz = rest % p.out_depth;
  let n = rest / p.out_depth;

  ${repeat(v.tileX, (t) => `var a${t} = vec4f(0.0);`)}
  let cin4 = (p.cin + 3u) / 4u;
  for (var kz = (oz + p.pad_z) % ${sz}u; kz < ${kd}u; kz += ${sz}u) {
    let z = i32(oz + p.pad_z) - i32(kz);
    if (z < 0 || z / ${sz} >= i32(p.depth)) { continue; }
    for (var ky = (oy + p.pad_y) % ${sy}u; ky < ${kh}u; ky += ${sy}u) {
      let yy = i32(oy + p.pad_y) - i32(ky);
      if (yy < 0 || yy / ${sy} >= i32(p.height)) { continue; }
      let row = ((n * p.depth + u32(z / ${sz})) * p.height + u32(yy / ${sy})) * p.width;
      for (var kx = (ox + p.pad_x) % ${sx}u; kx < ${kw}u; kx += ${sx}u) {
        // The numerator is a multiple of the stride, and tile voxel t is t steps further on the input row.
        let first = (i32(ox + p.pad_x) - i32(kx)) / ${sx};
        ${repeat(v.tileX, (t) => `let in${t} = first + ${t} >= 0 && first + ${t} < i32(p.width);`)}
        for (var ci = 0u; ci < cin4; ci++) {
          ${repeat(v.tileX, (t) => `let x${t} = select(vec4f(0.0), x[(row + u32(select(0, first + ${t}, in${t}))) * cin4 + ci], in${t});`)}
          let tap = (((kz * ${kh}u + ky) * ${kw}u + kx) * p.cin + ci * 4u) * p.cout4 + co;
          ${eachInputVec4(v, accumulate)}
        }
      }
    }
  }
  #if ${v.bias}
  let b = bias[co];
  #else
  let b = vec4f(0.0);
  #endif
  let out = ((n * p.out_depth + oz) * p.out_height + oy) * p.out_width;
  ${repeat(v.tileX, (t) => `if (ox + ${t * sx}u < p.out_width) { y[(out + ox + ${t * sx}u) * p.cout4 + co] = a${t} + b; }`)}
}
`,
  );
}
