import { type Kernel, kernel } from '../engine/kernel.ts';
import { stridedSum } from './shared/strided_sum.ts';
import { flatIndex, flatMain, wgsl } from './shared/wgsl.ts';

/**
 * column_sums: y[group, lane, c] = factor * sum of x[group, row, c] over the rows lane, lane + lanes, lane + 2 lanes, ...
 * Applied again to its own output it ends in one row a group: a deterministic tree whose leaves hold a bounded number of rows.
 *
 * layout   x [groups * rows, pitch vec4], y [groups * lanes, pitch vec4]
 * owns     one vec4 of y
 * cost     16 bytes read a row, neighbouring invocations read neighbouring addresses; memory bound
 * total    the four channels of a one-vec4 row added up too (sum of everything)
 * mirror   test/reference/reduce.ts
 */
export function columnSumsKernel(total: boolean): Kernel {
  return kernel(
    total ? 'total_sum' : 'column_sums',
    wgsl`
struct Params { count: u32, rows: u32, lanes: u32, pitch: u32, factor: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;
${stridedSum()}
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  let lane = (i / p.pitch) % p.lanes;
  let first = (i / p.pitch / p.lanes) * p.rows;
  let sum = strided_sum(first * p.pitch + i % p.pitch, lane, p.rows, p.lanes);
#if ${total}
  y[i] = vec4f(p.factor * ((sum.x + sum.y) + (sum.z + sum.w)), 0.0, 0.0, 0.0);
#else
  y[i] = p.factor * sum;
#endif
}
`,
  );
}

/**
 * row_sums: y[row] = factor * sum of the channels of x[row], in the first channel of y [rows, 1].
 *
 * owns     one row
 * cost     16 pitch bytes read, memory bound
 * mirror   test/reference/reduce.ts
 */
export function rowSumsKernel(): Kernel {
  return kernel(
    'row_sums',
    wgsl`
struct Params { count: u32, pitch: u32, factor: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  var sum = vec4f(0.0);
  for (var c = 0u; c < p.pitch; c++) { sum += x[i * p.pitch + c]; }
  y[i] = vec4f(p.factor * ((sum.x + sum.y) + (sum.z + sum.w)), 0.0, 0.0, 0.0);
}
`,
  );
}

/** Which result an element's gradient comes from: its sample's row of channels, its own row, or the one total. */
export type Spread = 'columns' | 'rows' | 'total';

/**
 * spread: the adjoint of the sums; every element of x takes factor * the gradient of the result it went into.
 *
 * layout   x [rows, pitch vec4]; v [groups, pitch vec4], [rows, 1 vec4] or [1 vec4]
 * owns     one vec4 of y; padding is written zero
 * cost     16 bytes written an invocation, memory bound
 * mirror   test/reference/reduce.ts
 */
export function spreadKernel(kind: Spread): Kernel {
  return kernel(
    `spread_${kind}`,
    wgsl`
struct Params { count: u32, rows: u32, channels: u32, pitch: u32, factor: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> v: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  let unit = i % p.pitch;
#if ${kind === 'columns'}
  y[i] = p.factor * v[(i / p.pitch / p.rows) * p.pitch + unit];
#else
#if ${kind === 'rows'}
  let value = p.factor * v[i / p.pitch].x;
#else
  let value = p.factor * v[0].x;
#endif
  let channel = vec4u(unit * 4u) + vec4u(0u, 1u, 2u, 3u);
  y[i] = select(vec4f(0.0), vec4f(value), channel < vec4u(p.channels));
#endif
}
`,
  );
}
