import { type Kernel, kernel } from '../engine/kernel.ts';
import { sumTree } from './shared/lane_trees.ts';
import { stridedSum } from './shared/strided_sum.ts';
import { flatIndex, flatMain, repeat, wgsl } from './shared/wgsl.ts';

/**
 * What both kernels know of a sum over chunks: a vec4 of columns of a row of a tap in a chunk of `stride` vec4, and where its four
 * sums go, in values. `columns` are written; what lies behind them, or behind the last row, is dropped.
 */
const FIELDS = [
  ...['count', 'chunks', 'stride', 'rows', 'rows_padded', 'quads', 'quads_padded'],
  ...['to', 'columns', 'tap_step', 'row_step', 'column_step'],
] as const;

/** One sum's parameters by the names of FIELDS. */
export type SumParams = Readonly<Record<(typeof FIELDS)[number], number>>;

const declared = (fields: readonly string[], suffix = '') => fields.map((field) => `${field}${suffix}: u32,`).join(' ');

/** Where vec4 `i` of a sum lies in a chunk, `at`, and the first of its values in y, `to`. */
const place = (sum: string) => wgsl`
  let quad = i % ${sum}.quads;
  let row = (i / ${sum}.quads) % ${sum}.rows;
  let tap = i / (${sum}.quads * ${sum}.rows);
  let at = (tap * ${sum}.rows_padded + row) * ${sum}.quads_padded + quad;
  let to = ${sum}.to + tap * ${sum}.tap_step + row * ${sum}.row_step + 4u * quad * ${sum}.column_step;`;

/**
 * sum_partials: y = the sum over the chunks of partial, in their order, rows and columns at their places in y.
 *
 * layout   partial [chunks, taps, rows_padded, quads_padded] vec4; y by values where it is `scattered`, else in vec4 (column_step 1,
 *          all else multiples of 4)
 * owns     one vec4 of y
 * mirror   test/reference/conv3d.ts (conv3dGradWeight)
 */
export function sumPartialsKernel({ scattered }: { scattered: boolean }): Kernel {
  return kernel(
    `sum_partials${scattered ? '_scattered' : ''}`,
    wgsl`
struct Params { ${declared(FIELDS)} }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> partial: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<${scattered ? 'f32' : 'vec4f'}>;
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
${place('p')}
  var sum = vec4f(0.0);
  for (var chunk = 0u; chunk < p.chunks; chunk++) { sum += partial[chunk * p.stride + at]; }
  #if ${scattered}
  for (var c = 0u; c < 4u; c++) {
    if (4u * quad + c < p.columns) { y[to + c * p.column_step] = sum[c]; }
  }
  #else
  y[to / 4u] = sum;
  #endif
}
`,
  );
}

/** Invocations of a workgroup; a power of two. */
export const SUM_TREE_LANES = 256;

/** What sum_partials_tree knows beside that: workgroups of this and all sums before, and neighbouring vec4 of a workgroup. */
const TREE_FIELDS = ['end', 'width', ...FIELDS] as const;

/** Parameters of all sums of a dispatch. */
export function sumTreeParams(sums: readonly (SumParams & { end: number; width: number })[]): Record<string, number> {
  return Object.fromEntries(sums.flatMap((sum, j) => TREE_FIELDS.map((field) => [`${field}_${j}`, sum[field]])));
}

const lanes = sumTree(SUM_TREE_LANES);

/**
 * sum_partials_tree: `sums` of those, into one y, for GPUs: as many as a shader may have storage buffers beside y.
 *
 * layout   partial_0, partial_1, ... as partial of sum_partials; y by values
 * owns     a workgroup: `width` (a power of two) vec4 of one sum. Neighbouring lanes hold neighbouring vec4, each adds up every
 *          (${SUM_TREE_LANES} / width)th chunk, then the lanes of one vec4 add up pairwise
 * cost     16 bytes read a chunk; ${Math.log2(SUM_TREE_LANES)} barriers at most, so no kernel for adapters that compute on a CPU
 * mirror   test/reference/conv3d.ts (conv3dGradWeight)
 */
export function sumPartialsTreeKernel(sums: number): Kernel {
  const each = (line: (j: number) => string) => repeat(sums, line);
  return kernel(
    'sum_partials_tree',
    wgsl`
struct Params { ${each((j) => declared(TREE_FIELDS, `_${j}`))} }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
${each((j) => `@group(0) @binding(${2 + j}) var<storage, read> partial_${j}: array<vec4f>;`)}
${lanes.memory}
struct Sum { first: u32, width: u32, ${declared(FIELDS)} }
${each((j) => stridedSum(`sum_${j}`, `partial_${j}`, `p.stride_${j}`))}

@compute @workgroup_size(${SUM_TREE_LANES})
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let g = group.y * groups.x + group.x;
  if (g >= p.end_${sums - 1}) { return; }
  var which = 0u;
  var s = Sum(0u, p.width_0, ${FIELDS.map((field) => `p.${field}_0`).join(', ')});
  ${repeat(
    sums - 1,
    (j) => `if (g >= p.end_${j}) {
    which = ${j + 1}u;
    s = Sum(p.end_${j}, p.width_${j + 1}, ${FIELDS.map((field) => `p.${field}_${j + 1}`).join(', ')});
  }`,
  )}
  let i = (g - s.first) * s.width + lane % s.width;
${place('s')}
  var sum = vec4f(0.0);
  if (i < s.count) {
    let first = lane / s.width;
    let step = ${SUM_TREE_LANES}u / s.width;
    switch which {
      ${each((j) => `${j + 1 === sums ? 'default' : `case ${j}u`}: { sum = sum_${j}(at, first, s.chunks, step); }`)}
    }
  }
  ${lanes.merge('s.width')}
  if (lane < s.width && i < s.count) {
    for (var c = 0u; c < 4u; c++) {
      if (4u * quad + c < s.columns) { y[to + c * s.column_step] = sum[c]; }
    }
  }
}
`,
  );
}
