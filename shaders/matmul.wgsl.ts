import { type Kernel, kernel } from '../engine/kernel.ts';
import { flatIndex, flatMain, wgsl } from './shared/wgsl.ts';

export interface MatmulKernelOptions {
  transposeA: boolean;
  transposeB: boolean;
  bias: boolean;
  /** vec4 columns an invocation owns. */
  columns: 1 | 2;
}

/** Rows of y an invocation owns. */
export const MATMUL_ROWS = 4;

/**
 * matmul: y = op(a) op(b) (+ bias), op(m) = m or its transpose; y [m, n], summed over k in slices of `depth`.
 *
 * layout   a [m, k] ([k, m] transposed), b [k, n] ([n, k] transposed), rows padded to vec4; y [slices, m, n]
 * owns     4 rows x 4 or 8 columns of one slice in registers: per 4 steps of k, 4 loads of a and 4 or 8 of b
 *          feed 64 or 128 multiply-adds. Transposed operands are loaded as 4 x 4 blocks and turned in registers
 * cost     2 m n k; neighbouring invocations share rows of a and walk along rows of b
 * padding  a's elements past k count as zero, so b may be read at a clamped row there; b's rows past n are made zero
 * mirror   test/reference/matmul.ts
 */
export function matmulKernel({ transposeA, transposeB, bias, columns }: MatmulKernelOptions): Kernel {
  const rows = Array.from({ length: MATMUL_ROWS }, (_, r) => r);
  const tiles = Array.from({ length: columns }, (_, c) => c);
  return kernel(
    `matmul_${transposeA ? 't' : 'n'}${transposeB ? 't' : 'n'}`,
    wgsl`
struct Params { count: u32, m: u32, n: u32, k: u32, depth: u32, a_pitch: u32, b_pitch: u32, y_pitch: u32, across: u32, down: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4f>;
@group(0) @binding(2) var<storage, read> b: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;
#if ${bias}
@group(0) @binding(4) var<storage, read> bias: array<vec4f>;
#endif
${flatIndex}
// Four rows of op(a), each with its elements at k, k + 1, k + 2, k + 3.
fn load_a(row: u32, k: u32) -> mat4x4f {
#if ${transposeA}
  var block: mat4x4f;
  let at = min(row / 4u, p.a_pitch - 1u);
  ${rows.map((r) => `if (k + ${r}u < p.k) { block[${r}] = a[(k + ${r}u) * p.a_pitch + at]; }`).join('\n  ')}
  return transpose(block);
#else
  let at = k / 4u;
  return mat4x4f(
    ${rows.map((r) => `a[min(row + ${r}u, p.m - 1u) * p.a_pitch + at]`).join(',\n    ')},
  );
#endif
}
// Rows k, k + 1, k + 2, k + 3 of op(b), each with the four columns of vec4 column n4.
fn load_b(k: u32, n4: u32) -> mat4x4f {
#if ${transposeB}
  var block: mat4x4f;
  let at = k / 4u;
  ${rows.map((r) => `if (n4 * 4u + ${r}u < p.n) { block[${r}] = b[(n4 * 4u + ${r}u) * p.b_pitch + at]; }`).join('\n  ')}
  return transpose(block);
#else
  let at = min(n4, p.b_pitch - 1u);
  return mat4x4f(
    ${rows.map((r) => `b[min(k + ${r}u, p.k - 1u) * p.b_pitch + at]`).join(',\n    ')},
  );
#endif
}
${flatMain}
  if (i >= p.count) { return; }
  let n4 = (i % p.across) * ${columns}u;
  let row = ((i / p.across) % p.down) * ${MATMUL_ROWS}u;
  let slice = i / p.across / p.down;
  ${rows.map((r) => tiles.map((c) => `var y${r}_${c} = vec4f(0.0);`).join(' ')).join('\n  ')}
#if ${bias}
  if (slice == 0u) {
    ${tiles.map((c) => `let bias${c} = bias[min(n4 + ${c}u, p.y_pitch - 1u)];`).join(' ')}
    ${rows.map((r) => tiles.map((c) => `y${r}_${c} = bias${c};`).join(' ')).join('\n    ')}
  }
#endif
  let end = min((slice + 1u) * p.depth, p.k);
  for (var k = slice * p.depth; k < end; k += 4u) {
    let rows = load_a(row, k);
    ${tiles.map((c) => `let cols${c} = load_b(k, n4 + ${c}u);`).join('\n    ')}
    ${rows.map((r) => tiles.map((c) => `y${r}_${c} += cols${c} * rows[${r}];`).join(' ')).join('\n    ')}
  }
  let out = slice * p.m * p.y_pitch + n4;
  ${rows
    .map((r) => {
      const stores = tiles.map((c) => {
        const store = `y[out + (row + ${r}u) * p.y_pitch + ${c}u] = y${r}_${c};`;
        return c === 0 ? store : `if (n4 + ${c}u < p.y_pitch) { ${store} }`;
      });
      return `if (row + ${r}u < p.m) { ${stores.join(' ')} }`;
    })
    .join('\n  ')}
}
`,
  );
}
