import { type Kernel, kernel } from '../engine/kernel.ts';
import { ceilDiv, type Triple } from '../engine/shape.ts';
import { boxCorner, oddPitch } from './shared/box.ts';
import { copyElements } from './shared/copy.ts';
import { activated, normedInput, normOf } from './shared/normed.ts';
import { groupMain, repeat, wgsl } from './shared/wgsl.ts';

export interface GradWeightPlanesVariant {
  /** Stride is 1. */
  kernel: Triple;
  /** What of a plane of dy is taken at a time: rows, and pieces of four voxels along x. */
  rows: number;
  pieces: number;
  /** vec4 of output channels that an invocation owns, and invocations side by side along them. */
  tileC: number;
  across: number;
  /** Input channels that matter in each vec4: fewer than four for images of one to three channels. */
  inputs: number;
  /** x is read through its norm and activation. */
  normed: boolean;
}

/** Invocations of a workgroup. Those that are no whole share copy like the others, and what they add up is left out. */
export const GRAD_WEIGHT_SIZE = 128;

/** Voxels along x that an invocation takes in one turn of its loop. */
export const GRAD_WEIGHT_PIECE = 4;

/**
 * Roles: taps along z and y, and vec4 of output channels. Shares: invocations of one role, which divide the pieces of a plane.
 * Sums of an invocation are counted with its output channels innermost, then input channels, then taps along x.
 */
function layout({ kernel: [kd, kh, kw], rows, pieces, tileC, across, inputs }: GradWeightPlanesVariant) {
  const roles = kd * kh * across;
  const shares = Math.floor(GRAD_WEIGHT_SIZE / roles);
  /** Of x, with the halo. */
  const [high, wide] = [rows + kh - 1, pieces * GRAD_WEIGHT_PIECE + kw - 1];
  const pitch = oddPitch(wide);
  /** vec4 from plane to plane: tap rows (kz, ky) lie kz * kh + ky odd steps apart, so in different banks. */
  const plane = high * pitch + (((kh - high) * pitch) & 7);
  /** vec4 of output channels that a workgroup owns, and of the plane of dy. */
  const quads = across * tileC;
  const gradients = rows * pieces * GRAD_WEIGHT_PIECE * quads;
  const sums = kw * inputs * tileC;
  return { roles, shares, high, wide, pitch, plane, quads, gradients, sums, tile: kd * plane + gradients };
}

/** Sums that one invocation holds, in vec4. */
export const gradWeightSums = (v: GradWeightPlanesVariant): number => layout(v).sums;

/** Whether every role has an invocation, and all shares are equal. */
export function gradWeightDivides(v: GradWeightPlanesVariant): boolean {
  const { shares } = layout(v);
  return shares > 0 && (v.rows * v.pieces) % shares === 0;
}

/** Bytes of workgroup memory. */
export const gradWeightPlanesBytes = (v: GradWeightPlanesVariant): number => layout(v).tile * 16;

/**
 * conv3d_grad_weight_planes, stage 1: partial[chunk, t, ci, co] = sum over the chunk's voxels o of
 * x[n, o - padding + t, ci] dy[n,o,co]. Stage 2 (sum_partials) adds the chunks in a fixed order.
 *
 * layout   x, dy NDHWC in vec4; partial [chunk, taps, Cin padded to 4, Cout] in vec4
 * owns     a workgroup: all taps x 4 input x 4*across*tileC output channels, over a column of planes, of which one of dy and as many
 *          of x as there are taps along z lie in workgroup memory, each read once; an invocation: the taps along x for one (z, y)
 *          and 4*tileC output channels, of a share of each plane, in registers. Shares are added in workgroup memory at the end
 * cost     per four voxels of a row: 3+kw reads of x and 4*tileC of dy from workgroup memory for 64*kw*tileC fma; two barriers a
 *          plane, so no kernel for adapters that compute on a CPU
 * mirror   test/reference/conv3d.ts (conv3dGradWeight)
 */
export function conv3dGradWeightPlanesKernel(v: GradWeightPlanesVariant): Kernel {
  const [kd, kh, kw] = v.kernel;
  const { roles, shares, high, wide, pitch, plane, quads, gradients, sums, tile } = layout(v);
  const piece = GRAD_WEIGHT_PIECE;
  const units = v.rows * v.pieces;
  const size = GRAD_WEIGHT_SIZE;
  const each = (line: (kx: number, c: number, o: number) => string) =>
    repeat(kw, (kx) => repeat(v.inputs, (c) => repeat(v.tileC, (o) => line(kx, c, o))));
  const sumOf = (kx: number, c: number, o: number) => (kx * v.inputs + c) * v.tileC + o;
  const atOnce = Math.floor(tile / (shares * roles));
  return kernel(
    `conv3d_grad_weight_planes_${v.kernel.join('')}`,
    wgsl`
struct Params {
  count: u32, planes: u32, tiles_x: u32, tiles_y: u32, tiles_z: u32, groups_in: u32, groups_out: u32,
  depth: u32, height: u32, width: u32, out_depth: u32, out_height: u32, out_width: u32, cout4: u32,
  pad_z: u32, pad_y: u32, pad_x: u32, slope: f32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> dy: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> partial: array<vec4f>;
${normedInput(v.normed, 4)}
// ${kd} planes of x, then one of dy; at the end the sums of all shares.
var<workgroup> tile: array<vec4f, ${tile}>;

${groupMain(size)}
  let group_out = i % p.groups_out;
  let ci = (i / p.groups_out) % p.groups_in;
  let chunk = i / (p.groups_out * p.groups_in);
  ${boxCorner('chunk', [1, v.rows, v.pieces * piece])}
  // Boxes of a column are counted, so that the last planes may be fewer.
  let first = box_z * p.planes;
  let last = min(first + p.planes, p.out_depth);
  let role = local % ${roles}u;
  let share = min(local / ${roles}u, ${shares - 1}u);
  let own = (role % ${v.across}u) * ${v.tileC}u;
  let ky = (role / ${v.across}u) % ${kh}u;
  let kz = role / ${v.across * kh}u;
  let co = group_out * ${quads}u;

  ${each((kx, c, o) => `var a${sumOf(kx, c, o)} = vec4f(0.0);`)}
  for (var step = first; step < last + ${kd - 1}u; step++) {
    workgroupBarrier();
    let z = step - p.pad_z;
    let x_plane = (n * p.depth + z) * p.height;
    let to = (step % ${kd}u) * ${plane}u;
    ${normOf(v.normed, 'norm', 'n', 'ci', 'p.groups_in')}
    ${copyElements(
      { count: high * wide, stride: size, lane: 'local', atOnce: 8 },
      (e) => `
      let hx${e} = j${e} % ${wide}u;
      let hy${e} = j${e} / ${wide}u;
      let xx${e} = box_x + hx${e} - p.pad_x;
      let yy${e} = box_y + hy${e} - p.pad_y;
      let inside${e} = z < p.depth && xx${e} < p.width && yy${e} < p.height;
      let voxel${e} = select(0u, (x_plane + yy${e}) * p.width + xx${e}, inside${e});
      let value${e} = ${activated(v.normed, `x[voxel${e} * p.groups_in + ci]`, 'norm')};`,
      (e) => `tile[to + hy${e} * ${pitch}u + hx${e}] = select(vec4f(0.0), value${e}, inside${e});`,
    )}
    if (step < first + ${kd - 1}u) { continue; }
    let y_plane = (n * p.out_depth + step - ${kd - 1}u) * p.out_height + box_y;
    ${copyElements(
      { count: gradients, stride: size, lane: 'local', atOnce: 8 },
      (e) => `
      let gx${e} = box_x + (j${e} / ${quads}u) % ${v.pieces * piece}u;
      let gy${e} = j${e} / ${quads * v.pieces * piece}u;
      let wanted${e} = gx${e} < p.out_width && box_y + gy${e} < p.out_height;
      let g${e} = dy[select(0u, (y_plane + gy${e}) * p.out_width + gx${e}, wanted${e}) * p.cout4 + co + j${e} % ${quads}u];`,
      (e) => `tile[${kd * plane}u + j${e}] = select(vec4f(0.0), g${e}, wanted${e});`,
    )}
    workgroupBarrier();
    let x_from = ((step + kz + 1u) % ${kd}u) * ${plane}u + ky * ${pitch}u;
    for (var turn = 0u; turn < ${units / shares}u; turn++) {
      let unit = turn * ${shares}u + share;
      let x_at = x_from + (unit / ${v.pieces}u) * ${pitch}u + (unit % ${v.pieces}u) * ${piece}u;
      let g_at = ${kd * plane}u + unit * ${piece * quads}u + own;
      ${repeat(piece + kw - 1, (s) => `let x${s} = tile[x_at + ${s}u];`)}
      ${repeat(
        piece,
        (t) => `{
        ${repeat(v.tileC, (o) => `let g${o} = tile[g_at + ${t * quads + o}u];`)}
        ${each((kx, c, o) => `a${sumOf(kx, c, o)} = fma(vec4f(x${t + kx}.${'xyzw'[c]}), g${o}, a${sumOf(kx, c, o)});`)}
      }`,
      )}
    }
  }
  ${repeat(ceilDiv(sums, atOnce), (round) => {
    const from = round * atOnce;
    const some = Math.min(atOnce, sums - from);
    return `
  workgroupBarrier();
  if (local < ${shares * roles}u) {
    ${repeat(some, (k) => `tile[${k * shares * roles}u + local] = a${from + k};`)}
  }
  workgroupBarrier();
  for (var j = local; j < ${some * roles}u; j += ${size}u) {
    let at = (j / ${roles}u) * ${shares * roles}u + j % ${roles}u;
    var sum = tile[at];
    for (var s = 1u; s < ${shares}u; s++) { sum += tile[at + s * ${roles}u]; }
    let a = ${from}u + j / ${roles}u;
    let tap = (chunk * ${kd * kh}u + (j % ${roles}u) / ${v.across}u) * ${kw}u + a / ${v.inputs * v.tileC}u;
    let channel = ci * 4u + (a / ${v.tileC}u) % ${v.inputs}u;
    let column = co + (j % ${v.across}u) * ${v.tileC}u + a % ${v.tileC}u;
    partial[(tap * p.groups_in * 4u + channel) * p.cout4 + column] = sum;
  }`;
  })}
}
`,
  );
}
