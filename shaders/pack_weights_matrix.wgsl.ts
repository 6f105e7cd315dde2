import { type Kernel, kernel } from '../engine/kernel.ts';
import type { MatrixUnit } from '../engine/matrix_unit.ts';
import { flatIndex, flatMain, repeat, wgsl } from './shared/wgsl.ts';

/**
 * What there is to know of one packing: its vec4 of `out` are those from the end of the one before on; `origin` is the first value of w
 * that counts. `transpose` and `flip` are 0 or 1.
 */
const FIELDS = [
  'end',
  'count',
  'origin',
  'taps',
  'rows',
  'columns',
  'blocks',
  'pitch',
  'cin',
  'transpose',
  'flip',
] as const;

export type PackMatrixParams = Readonly<Record<(typeof FIELDS)[number], number>>;

/** Parameters of all packings of a dispatch. */
export function packMatrixParams(packings: readonly PackMatrixParams[]): Record<string, number> {
  return Object.fromEntries(packings.flatMap((packing, j) => FIELDS.map((field) => [`${field}_${j}`, packing[field]])));
}

/**
 * pack_weights_matrix: weights [taps, Cin, Cout] as matrices k x n of float16, one after the other: for each k input channels,
 * each tap and each n output channels; zeros behind the last channels. `transpose` exchanges input and output channels, `flip` takes
 * the taps in reverse. Several packings, out of one buffer into one.
 *
 * layout   flat; one invocation a vec4 of `out`; a packing begins at a multiple of 64 vec4
 * mirror   test/ops/conv3d_matrix.test.ts (through every convolution and input gradient)
 */
export function packWeightsMatrixKernel({ k, n }: MatrixUnit, packings: number): Kernel {
  const fieldsOf = (j: number) => FIELDS.map((field) => `p.${field}_${j}`).join(', ');
  return kernel(
    'pack_weights_matrix',
    wgsl`
enable f16;
struct Params { ${repeat(packings, (j) => FIELDS.map((field) => `${field}_${j}: u32,`).join(' '))} }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4h>;
struct Packing { ${FIELDS.map((field) => `${field}: u32,`).join(' ')} }
${flatIndex}
${flatMain}
  var s = Packing(${fieldsOf(0)});
  var start = 0u;
  ${repeat(packings - 1, (j) => `if (i >= p.end_${j}) { s = Packing(${fieldsOf(j + 1)}); start = p.end_${j}; }`)}
  let own = i - start;
  if (own >= s.count) { return; }
  let matrix = own / ${(k * n) / 4}u;
  let at = (matrix / s.blocks) % s.taps;
  let tap = select(at, s.taps - 1u - at, s.flip == 1u);
  let row = (matrix / (s.blocks * s.taps)) * ${k}u + (own / ${n / 4}u) % ${k}u;
  let column = (matrix % s.blocks) * ${n}u + (own % ${n / 4}u) * 4u;
  var value = vec4h(0.0);
  for (var c = 0u; c < 4u; c++) {
    if (row < s.rows && column + c < s.columns) {
      let lies = select(vec2u(row, column + c), vec2u(column + c, row), s.transpose == 1u);
      value[c] = f16(w[s.origin + (tap * s.cin + lies.x) * s.pitch + lies.y]);
    }
  }
  out[i] = value;
}
`,
  );
}
