import { type Kernel, kernel } from '../engine/kernel.ts';
import { addedTo } from './shared/row.ts';
import { repeat, wgsl } from './shared/wgsl.ts';

/** Invocations in a workgroup: few, so that a small product spreads over all cores. */
const WORKGROUP = 16;

export interface MatmulWindowsVariant {
  transposeA: boolean;
  bias: boolean;
  /** k is no multiple of four: steps may reach behind the last row of b. */
  tail: boolean;
  /** vec4 columns an invocation owns. */
  tileC: number;
  /** Pairs of windows, each a slice of k. */
  slices: number;
  /** vec4 in each window of a and of b. */
  windowA: number;
  windowB: number;
}

/** Rows of y an invocation owns. */
export const MATMUL_WINDOW_ROWS = 8;

/** vec4 columns of a packed block: 128 elements, so that a window holds 128 rows. */
export const BLOCK = 32;

/**
 * matmul_windows: y = op(a) b (+ bias) or y += op(a) b for adapters that read uniform buffers much faster than storage
 * buffers (conv3d_windows): some rows and columns of y, and of k as many slices as windows of 64 KiB can be bound.
 *
 * layout   a0, a1, … windows of op(a) [rows, a_pitch vec4 of k], transposed [k, a_pitch vec4 of rows]; b0, b1, … of b
 *          [k, b_pitch vec4]; slice s starts at base_a and base_b and has steps_s fours of k, transposed ones of k
 * owns     8 rows x tileC vec4 of y, all sums in variables
 * padding  elements of a past k are zero, or steps_s ends there; the rows of b they meet exist
 * mirror   test/reference/matmul.ts
 */
export function matmulWindowsKernel(v: MatmulWindowsVariant): Kernel {
  const rows = MATMUL_WINDOW_ROWS;
  const each = (line: (r: number, o: number) => string) => repeat(rows, (r) => repeat(v.tileC, (o) => line(r, o)));
  const steps = v.transposeA ? 1 : 4;
  /** Element of op(a) in row r and, of a step's, column k. */
  const a = (r: number, k: number) => (v.transposeA ? `a_${r >> 2}.${'xyzw'[r & 3]}` : `a_${r}.${'xyzw'[k]}`);
  const products = (r: number, o: number) =>
    Array.from({ length: steps }, (_, k) => ({ a: `vec4f(${a(r, k)})`, b: `w${k}_${o}` }));
  const loadB = (s: number) =>
    repeat(steps, (k) =>
      repeat(v.tileC, (o) => {
        const at = `b_at + ${k}u * p.b_pitch + ${o}u`;
        return `let w${k}_${o} = b${s}[${v.tail ? `min(${at}, ${v.windowB - 1}u)` : at}];`;
      }),
    );
  const stores = (assign: string) =>
    repeat(v.tileC, (o) => {
      const line = (r: number) =>
        `if (row + ${r}u < p.rows) { y[out + ${r}u * p.y_pitch + ${o}u] ${assign} y${r}_${o}; }`;
      return `if (column + ${o}u < p.columns) {\n${repeat(rows, line)}\n}`;
    });
  const slice = (s: number) => wgsl`
  for (var step = 0u; step < p.steps${s}; step++) {
#if ${v.transposeA}
    let b_at = p.base_b${s} + step * p.b_pitch + column;
    let a_at = p.base_a${s} + step * p.a_pitch;
    ${repeat(rows / 4, (r) => `let a_${r} = a${s}[a_at + row4_${r}];`)}
#else
    let b_at = p.base_b${s} + 4u * step * p.b_pitch + column;
    ${repeat(rows, (r) => `let a_${r} = a${s}[p.base_a${s} + row_${r} + step];`)}
#endif
    ${loadB(s)}
    ${each((r, o) => `y${r}_${o} = ${addedTo(`y${r}_${o}`, products(r, o))};`)}
  }
`;
  return kernel(
    `matmul_windows_${v.transposeA ? 't' : 'n'}`,
    wgsl`
struct Params {
  count: u32, across: u32, rows: u32, first_row: u32, y_pitch: u32, first_column: u32, columns: u32,
  a_pitch: u32, b_pitch: u32, add: u32,
  ${repeat(v.slices, (s) => `steps${s}: u32, base_a${s}: u32, base_b${s}: u32,`)}
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;
${repeat(
  v.slices,
  (s) => `@group(0) @binding(${2 + 2 * s}) var<uniform> a${s}: array<vec4f, ${v.windowA}>;
@group(0) @binding(${3 + 2 * s}) var<uniform> b${s}: array<vec4f, ${v.windowB}>;`,
)}
#if ${v.bias}
@group(0) @binding(${2 + 2 * v.slices}) var<storage, read> bias: array<vec4f>;
#endif
@compute @workgroup_size(${WORKGROUP})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let i = id.x;
  if (i >= p.count) { return; }
  let column = i % p.across * ${v.tileC}u;
  let row = i / p.across * ${rows}u;
#if ${v.transposeA}
  ${repeat(rows / 4, (r) => `let row4_${r} = min(row / 4u + ${r}u, p.a_pitch - 1u);`)}
#else
  ${repeat(rows, (r) => `let row_${r} = min(row + ${r}u, p.rows - 1u) * p.a_pitch;`)}
#endif
  ${each((r, o) => `var y${r}_${o} = vec4f(0.0);`)}
#if ${v.bias}
  if (p.add == 0u) {
    ${repeat(v.tileC, (o) => `let bias${o} = bias[p.first_column + column + ${o}u];`)}
    ${each((r, o) => `y${r}_${o} = bias${o};`)}
  }
#endif
  ${repeat(v.slices, slice)}
  let out = (p.first_row + row) * p.y_pitch + p.first_column + column;
  if (p.add == 0u) {
    ${stores('=')}
  } else {
    ${stores('+=')}
  }
}
`,
  );
}
