import { type Kernel, kernel } from '../engine/kernel.ts';
import type { MatrixUnit } from '../engine/matrix_unit.ts';
import { product, type Triple } from '../engine/shape.ts';
import { boxCorner, boxVoxel, inputVoxel } from './shared/box.ts';
import { copyElements } from './shared/copy.ts';
import { axesOf, matrixTypes, stepsIn, tapSteps, tapsAcross, tripleOf, withHalo } from './shared/matrix_unit.ts';
import { activated, normedInput, normOf } from './shared/normed.ts';
import { groupMain, repeat, wgsl } from './shared/wgsl.ts';

export interface GradWeightMatrixTile {
  unit: MatrixUnit;
  /** Stride is 1. */
  kernel: Triple;
  /** The axis along which a matrix holds k voxels: 0 z, 1 y, 2 x. */
  run: number;
  /** Rows of k voxels taken at a time along the first and the second of the other axes. */
  rows: readonly [number, number];
  /** Matrices of m input and of n output channels that a workgroup owns; a subgroup each, for each tap along the row. */
  inputs: number;
  outputs: number;
  /** x is read through its norm and activation. */
  normed: boolean;
}

/** Voxels of dy taken at a time, and of x that they meet, [z, y, x]. */
export function gradWeightBox({ unit, kernel, run, rows }: GradWeightMatrixTile): { taken: Triple; box: Triple } {
  const taken = tripleOf(axesOf(run), unit.k, rows);
  return { taken, box: withHalo(taken, kernel) };
}

/** Invocations of a workgroup. */
export const gradWeightSize = ({ unit, kernel, run, inputs, outputs }: GradWeightMatrixTile): number =>
  unit.subgroup * kernel[run] * inputs * outputs;

/** Bytes of workgroup memory: x and dy of the box in float16. */
export function gradWeightBytes(tile: GradWeightMatrixTile): number {
  const { taken, box } = gradWeightBox(tile);
  return 2 * (product(box) * tile.inputs * tile.unit.m + product(taken) * tile.outputs * tile.unit.n);
}

/**
 * conv3d_grad_weight_matrix, stage 1: partial[chunk, t, ci, co] = sum over the chunk's boxes of voxels o of
 * x[n, o - padding + t, ci] dy[n,o,co], the factors rounded to float16, on matrix units: m input channels x k voxels of a row
 * by k voxels x n output channels. Stage 2 is sum_partials.
 *
 * layout   x, dy NDHWC in vec4; partial [chunk, taps, Cin padded to m inputs, Cout padded to n outputs] in vec4
 * owns     a workgroup: all taps x m inputs x n outputs channels, over a chunk of boxes, which lie in workgroup memory one
 *          after the other; a subgroup: one tap along the row and one matrix of channels, all other taps in registers
 * cost     per subgroup and row of dy: a matrix of dy and (3 x 3 taps) 3 of x for 9 products
 * mirror   test/reference/conv3d.ts (conv3dGradWeight), of values that float16 holds
 */
export function conv3dGradWeightMatrixKernel(v: GradWeightMatrixTile): Kernel {
  const { m, n } = v.unit;
  const axes = axesOf(v.run);
  const { run, others } = axes;
  const [first, second] = others;
  const { taken, box } = gradWeightBox(v);
  const size = gradWeightSize(v);
  const [m4, n4] = [m / 4, n / 4];
  /** vec4 of a voxel's channels in workgroup memory. */
  const [x4, g4] = [v.inputs * m4, v.outputs * n4];
  /** vec4 of a voxel that an invocation copies, for which it looks once where the voxel lies, and the invocations for all of them. */
  const quads = x4 % 2 === 0 && g4 % 2 === 0 ? 2 : 1;
  const [lanesX, lanesG] = [x4 / quads, g4 / quads];
  const [stepX, stepG] = [stepsIn(box, axes, x4), stepsIn(taken, axes, g4)];
  const taps = tapsAcross(v.kernel, axes);
  const tapStep = tapSteps(v.kernel);
  /** Loads of x at row `b`, for every tap along the first axis; each serves the rows of dy that its taps reach. */
  const loads = (b: number) =>
    repeat(
      v.kernel[first],
      (a) =>
        `let x_${a}_${b} = subgroupMatrixLoad<Left, col_major>(&tile_x, corner_x + ${a * stepX[first] + b * stepX[second]}u, ${x4}u);`,
    );
  const place = (step: Triple, e: number) => `hz${e} * ${step[0]}u + hy${e} * ${step[1]}u + hx${e} * ${step[2]}u`;
  return kernel(
    `conv3d_grad_weight_matrix_${v.kernel.join('')}`,
    wgsl`
${matrixTypes(v.unit)}
struct Params {
  count: u32, boxes: u32, chunk_boxes: u32, tiles_x: u32, tiles_y: u32, tiles_z: u32, groups_in: u32, groups_out: u32,
  depth: u32, height: u32, width: u32, cin4: u32, out_depth: u32, out_height: u32, out_width: u32, cout4: u32,
  pad_z: u32, pad_y: u32, pad_x: u32, slope: f32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> dy: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> partial: array<vec4f>;
${normedInput(v.normed, 4)}
var<workgroup> tile_x: array<vec4h, ${product(box) * x4}>;
var<workgroup> tile_g: array<vec4h, ${product(taken) * g4}>;

${groupMain(size, ['@builtin(subgroup_id) subgroup: u32'])}
  let group_out = i % p.groups_out;
  let group_in = (i / p.groups_out) % p.groups_in;
  let chunk = i / (p.groups_out * p.groups_in);
  let tap = subgroup % ${v.kernel[run]}u;
  let block_in = (subgroup / ${v.kernel[run]}u) % ${v.inputs}u;
  let block_out = subgroup / ${v.kernel[run] * v.inputs}u;
  let quad_x = (local % ${lanesX}u) * ${quads}u;
  let quad_g = (local % ${lanesG}u) * ${quads}u;
  ${repeat(
    quads,
    (q) => `let ci${q} = min(group_in * ${x4}u + quad_x + ${q}u, p.cin4 - 1u);
  let real_x${q} = group_in * ${x4}u + quad_x + ${q}u < p.cin4;
  let co${q} = min(group_out * ${g4}u + quad_g + ${q}u, p.cout4 - 1u);
  let real_g${q} = group_out * ${g4}u + quad_g + ${q}u < p.cout4;`,
  )}

  ${taps.map(({ a, b }) => `var sum_${a}_${b} = Sums();`).join('\n')}
  let last = min((chunk + 1u) * p.chunk_boxes, p.boxes);
  for (var at_box = chunk * p.chunk_boxes; at_box < last; at_box++) {
    ${boxCorner('at_box', taken)}
    workgroupBarrier();
    ${repeat(quads, (q) => normOf(v.normed, `norm${q}`, 'n', `ci${q}`, 'p.cin4'))}
    ${copyElements(
      { count: product(box), stride: size / lanesX, lane: `local / ${lanesX}u`, atOnce: 2 },
      (e) => `${inputVoxel(box, e)}
      ${repeat(quads, (q) => `let value${e}_${q} = ${activated(v.normed, `x[voxel${e} * p.cin4 + ci${q}]`, `norm${q}`)};`)}`,
      (e) => `
      let to${e} = ${place(stepX, e)} + quad_x;
      ${repeat(quads, (q) => `tile_x[to${e} + ${q}u] = vec4h(select(vec4f(0.0), value${e}_${q}, inside${e} && real_x${q}));`)}`,
    )}
    ${copyElements(
      { count: product(taken), stride: size / lanesG, lane: `local / ${lanesG}u`, atOnce: 2 },
      (e) => `${boxVoxel(taken, e)}
      let ox${e} = box_x + hx${e};
      let oy${e} = box_y + hy${e};
      let oz${e} = box_z + hz${e};
      let inside${e} = ox${e} < p.out_width && oy${e} < p.out_height && oz${e} < p.out_depth;
      let at${e} = select(0u, ((n * p.out_depth + oz${e}) * p.out_height + oy${e}) * p.out_width + ox${e}, inside${e});
      ${repeat(quads, (q) => `let value${e}_${q} = dy[at${e} * p.cout4 + co${q}];`)}`,
      (e) => `
      let to${e} = ${place(stepG, e)} + quad_g;
      ${repeat(quads, (q) => `tile_g[to${e} + ${q}u] = vec4h(select(vec4f(0.0), value${e}_${q}, inside${e} && real_g${q}));`)}`,
    )}
    workgroupBarrier();
    for (var a = 0u; a < ${v.rows[0]}u; a++) {
      let corner_x = a * ${stepX[first]}u + tap * ${x4}u + block_in * ${m4}u;
      let corner_g = a * ${stepG[first]}u + block_out * ${n4}u;
      ${repeat(v.kernel[second] - 1, loads)}
      ${repeat(
        v.rows[1],
        (b) => `
      ${loads(b + v.kernel[second] - 1)}
      let g_${b} = subgroupMatrixLoad<Right, row_major>(&tile_g, corner_g + ${b * stepG[second]}u, ${g4}u);
      ${taps.map((t) => `sum_${t.a}_${t.b} = subgroupMatrixMultiplyAccumulate(x_${t.a}_${b + t.b}, g_${b}, sum_${t.a}_${t.b});`).join('\n')}`,
      )}
    }
  }
  let columns = p.groups_out * ${g4}u;
  let rows = p.groups_in * ${v.inputs * m}u;
  let to = (group_in * ${v.inputs}u + block_in) * ${m}u * columns + (group_out * ${v.outputs}u + block_out) * ${n4}u;
  let first = chunk * ${product(v.kernel)}u + tap * ${tapStep[run]}u;
  ${taps
    .map(({ a, b }) => {
      const at = `(first + ${a * tapStep[first] + b * tapStep[second]}u) * rows * columns + to`;
      return `subgroupMatrixStore<row_major>(&partial, ${at}, sum_${a}_${b}, columns);`;
    })
    .join('\n')}
}
`,
  );
}
