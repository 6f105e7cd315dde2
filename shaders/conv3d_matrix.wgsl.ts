import { type Kernel, kernel } from '../engine/kernel.ts';
import type { MatrixUnit } from '../engine/matrix_unit.ts';
import { ceilDiv, product, type Triple } from '../engine/shape.ts';
import { boxCorner, inputVoxel } from './shared/box.ts';
import { copyElements } from './shared/copy.ts';
import { inputAt, inputNorm, joinedInput } from './shared/joined.ts';
import { axesOf, matrixTypes, stepsIn, tapSteps, tapsAcross, tripleOf, withHalo } from './shared/matrix_unit.ts';
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
import { groupMain, repeat, wgsl } from './shared/wgsl.ts';

export interface Conv3dMatrixTile {
  unit: MatrixUnit;
  /** Stride is 1. */
  kernel: Triple;
  /** The axis along which a matrix holds m voxels: 0 z, 1 y, 2 x. */
  run: number;
  /** Rows of m voxels that a subgroup owns along the first and the second of the other axes. */
  rows: readonly [number, number];
  /** Subgroups of a workgroup along those axes, and along output channels, n a subgroup. */
  groups: readonly [number, number, number];
  /** vec4 of float16 between the channels of one voxel and the next in workgroup memory, against bank conflicts. */
  pad: number;
  bias: boolean;
  /** The input is x and `also`, joined along the channels. */
  joined: boolean;
  /** The last of the inputs is read through its norm and activation. */
  normed: boolean;
  /** Leaves the moments of every box of y too, for the norm behind. */
  moments: boolean;
}

/** Output voxels of a workgroup and of the input box it needs, [z, y, x]. */
export function matrixBox({ unit, kernel, run, rows, groups }: Conv3dMatrixTile): { out: Triple; box: Triple } {
  const out = tripleOf(axesOf(run), unit.m, [rows[0] * groups[0], rows[1] * groups[1]]);
  return { out, box: withHalo(out, kernel) };
}

const subgroups = ({ groups }: Conv3dMatrixTile): number => groups[0] * groups[1] * groups[2];
const voxelPitch = ({ unit, pad }: Conv3dMatrixTile): number => unit.k / 4 + pad;

/** A lane has values of one vec4 of channels, where a subgroup is a multiple of these. */
function mergedMoments(tile: Conv3dMatrixTile): WorkgroupMoments {
  const { n, subgroup } = tile.unit;
  const size = subgroups(tile) * subgroup;
  const columns = (tile.groups[2] * n) / 4;
  return { size, columns, slots: size / columns, memory: 'sums' };
}

/** vec4 of sums in workgroup memory: one matrix a subgroup, later moments. */
function sumsLength(tile: Conv3dMatrixTile): number {
  const { m, n } = tile.unit;
  return Math.max((subgroups(tile) * m * n) / 4, tile.moments ? momentsLength(mergedMoments(tile)) : 0);
}

/** Bytes of workgroup memory: the input box in float16, sums in float32. */
export function matrixTileBytes(tile: Conv3dMatrixTile): number {
  const sums = sumsLength(tile) * 16 + (tile.moments ? momentsBytes(mergedMoments(tile)) : 0);
  return product(matrixBox(tile).box) * voxelPitch(tile) * 8 + sums;
}

/**
 * conv3d_matrix: y[n,o,co] = bias[co] + sum over taps t and ci of x[n, o - padding + t, ci] w[t,ci,co], the factors rounded to
 * float16, on matrix units: m voxels of a row x k input channels by k input channels x n output channels.
 *
 * layout   x, y NDHWC in vec4; w as pack_weights_matrix leaves it; moments [N, boxes, {mean, M2, count}, Cout] of y before any
 *          rounding to bfloat16
 * owns     a workgroup: a box of rows x groups rows of m voxels x n groups[2] output channels; a subgroup: rows[0] x rows[1]
 *          matrices of sums. k input channels at a time lie in workgroup memory with their halo
 * cost     per subgroup, k input channels and tap along the row: a matrix of x for each of (rows[0] + 2)(rows[1] + 2) rows
 *          (3 x 3 x 3 taps), used in up to 9 products; 9 matrices of w
 * mirror   test/reference/conv3d.ts, of values that float16 holds
 */
export function conv3dMatrixKernel(v: Conv3dMatrixTile): Kernel {
  const { m, n, k, subgroup } = v.unit;
  const axes = axesOf(v.run);
  const { run, others } = axes;
  const [first, second] = others;
  const { out, box } = matrixBox(v);
  const pitch = voxelPitch(v);
  const size = subgroup * subgroups(v);
  const merged = mergedMoments(v);
  const [k4, n4] = [k / 4, n / 4];
  const [, , groupsN] = v.groups;
  /** vec4 of a voxel that an invocation copies, for which it looks once where the voxel lies, and the invocations for all of them. */
  const quads = k4 % 2 === 0 ? 2 : 1;
  const lanes4 = k4 / quads;
  const axisNames = ['z', 'y', 'x'];
  const step = stepsIn(box, axes, pitch);
  const eachRow = (line: (i: number, j: number) => string) =>
    repeat(v.rows[0], (i) => repeat(v.rows[1], (j) => line(i, j)));
  const taps = tapsAcross(v.kernel, axes);
  const tapStep = tapSteps(v.kernel);
  const weightsOf = ({ a, b }: { a: number; b: number }) => `w_${a}_${b}`;
  const products = (i: number, j: number) =>
    taps
      .map((tap) => ({ tap, row: i - tap.a, column: j - tap.b }))
      .filter(({ row, column }) => row >= 0 && row < v.rows[0] && column >= 0 && column < v.rows[1])
      .map(({ tap, row, column }) => {
        const sum = `sum_${row}_${column}`;
        return `${sum} = subgroupMatrixMultiplyAccumulate(values, ${weightsOf(tap)}, ${sum});`;
      })
      .join('\n');
  return kernel(
    `conv3d_matrix_${v.kernel.join('')}`,
    wgsl`
${matrixTypes(v.unit)}
struct Params {
  count: u32, tiles_x: u32, tiles_y: u32, tiles_z: u32, groups: u32, blocks: u32,
  depth: u32, height: u32, width: u32, cin: u32, own4: u32,
  out_depth: u32, out_height: u32, out_width: u32, cout4: u32, pad_z: u32, pad_y: u32, pad_x: u32, slope: f32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> w: array<vec4h>;
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
var<workgroup> tile: array<vec4h, ${product(box) * pitch}>;
var<workgroup> sums: array<vec4f, ${sumsLength(v)}>;

${groupMain(size, ['@builtin(subgroup_id) subgroup: u32', '@builtin(subgroup_invocation_id) lane: u32'])}
  let block = (i % p.groups) * ${groupsN}u + subgroup % ${groupsN}u;
  ${boxCorner('i / p.groups', out)}
  let row_a = (subgroup / ${groupsN * v.groups[1]}u) * ${v.rows[0]}u;
  let row_b = ((subgroup / ${groupsN}u) % ${v.groups[1]}u) * ${v.rows[1]}u;

  ${eachRow((a, b) => `var sum_${a}_${b} = Sums();`)}
  let cin4 = (p.cin + 3u) / 4u;
  for (var chunk = 0u; chunk < (cin4 + ${k4 - 1}u) / ${k4}u; chunk++) {
    workgroupBarrier();
    let quad = (local % ${lanes4}u) * ${quads}u;
    ${repeat(
      quads,
      (q) => `let ci${q} = min(chunk * ${k4}u + quad + ${q}u, cin4 - 1u);
    let real${q} = chunk * ${k4}u + quad + ${q}u < cin4;
    ${inputNorm(v, `norm${q}`, 'n', `ci${q}`)}`,
    )}
    ${copyElements(
      { count: product(box), stride: size / lanes4, lane: `local / ${lanes4}u`, atOnce: 2 },
      (e) => `${inputVoxel(box, e)}
      ${repeat(quads, (q) => `let value${e}_${q} = ${inputAt(v, `voxel${e}`, `norm${q}`, `ci${q}`)};`)}`,
      (e) => `
      let to${e} = hz${e} * ${step[0]}u + hy${e} * ${step[1]}u + hx${e} * ${step[2]}u + quad;
      ${repeat(quads, (q) => `tile[to${e} + ${q}u] = vec4h(select(vec4f(0.0), value${e}_${q}, inside${e} && real${q}));`)}`,
    )}
    workgroupBarrier();
    for (var t = 0u; t < ${v.kernel[run]}u; t++) {
      let tap = chunk * ${product(v.kernel)}u + t * ${tapStep[run]}u;
      ${taps
        .map((tap) => {
          const at = `((tap + ${tap.a * tapStep[first] + tap.b * tapStep[second]}u) * p.blocks + block) * ${k * n4}u`;
          return `let ${weightsOf(tap)} = subgroupMatrixLoad<Right, row_major>(&w, ${at}, ${n4}u);`;
        })
        .join('\n')}
      let corner = row_a * ${step[first]}u + row_b * ${step[second]}u + t * ${pitch}u;
      ${repeat(v.rows[0] + v.kernel[first] - 1, (a) =>
        repeat(
          v.rows[1] + v.kernel[second] - 1,
          (b) => `{
        let values = subgroupMatrixLoad<Left, row_major>(&tile, corner + ${a * step[first] + b * step[second]}u, ${pitch}u);
        ${products(a, b)}
      }`,
        ),
      )}
    }
  }
  let extents = array(p.out_depth, p.out_height, p.out_width);
  let steps = array(p.out_height * p.out_width, p.out_width, 1u);
  let along_row = box_${axisNames[run]} + lane / ${n4}u;
  let first_row = box_${axisNames[first]} + row_a;
  let second_row = box_${axisNames[second]} + row_b;
  let co = block * ${n4}u + lane % ${n4}u;
  let corner = n * p.out_depth * steps[0] + along_row * steps[${run}] + first_row * steps[${first}] + second_row * steps[${second}];
  #if ${v.moments}
  var own = Moments(vec4f(0.0), vec4f(0.0), 0.0);
  #endif
  ${eachRow(
    (a, b) => `{
    subgroupMatrixStore<row_major>(&sums, subgroup * ${m * n4}u, sum_${a}_${b}, ${n4}u);
    workgroupBarrier();
    let to = corner + ${a}u * steps[${first}] + ${b}u * steps[${second}];
    let in_row = first_row + ${a}u < extents[${first}] && second_row + ${b}u < extents[${second}];
    ${repeat(
      ceilDiv(m * n4, subgroup),
      (t) => `{
      let e = lane + ${t * subgroup}u;
      let along = along_row + ${(t * subgroup) / n4}u;
      if (in_row && along < extents[${run}]${m * n4 < (t + 1) * subgroup ? ` && e < ${m * n4}u` : ''}) {
        let value = sums[subgroup * ${m * n4}u + e]${v.bias ? ' + bias[min(co, p.cout4 - 1u)]' : ''};
        if (co < p.cout4) { y[(to + ${(t * subgroup) / n4}u * steps[${run}]) * p.cout4 + co] = value; }
        ${v.moments ? 'own = merge(own, Moments(value, vec4f(0.0), 1.0));' : ''}
      }
    }`,
    )}
    workgroupBarrier();
  }`,
  )}
  #if ${v.moments}
  let slot = (subgroup / ${groupsN}u) * ${subgroup / n4}u + lane / ${n4}u;
  let own_column = (subgroup % ${groupsN}u) * ${n4}u + lane % ${n4}u;
  if (own_column == 0u) { slot_counts[slot] = own.count; }
  ${momentsStore(merged, 'own_column', 'slot', 'own')}
  ${momentsMerge(
    merged,
    `let channel = (i % p.groups) * ${merged.columns}u + column;
    if (channel < p.cout4) { ${momentsWrite('channel')} }`,
  )}
  #endif
}
`,
  );
}
