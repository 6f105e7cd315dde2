import { type Kernel, kernel } from '../engine/kernel.ts';
import { flatIndex, flatMain, wgsl } from './shared/wgsl.ts';

/**
 * gather: y[q] = x[index[q]]; a row of zeros for an index past the last row.
 *
 * layout   x [rows, pitch vec4], index u32 [q], y [q, pitch vec4]
 * owns     one vec4 of y; neighbouring invocations read neighbouring channels
 * cost     32 bytes an invocation, memory bound
 * mirror   test/reference/gather.ts
 */
export function gatherKernel(): Kernel {
  return kernel(
    'gather',
    wgsl`
struct Params { count: u32, rows: u32, pitch: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> index: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  let row = index[i / p.pitch];
  if (row >= p.rows) {
    y[i] = vec4f(0.0);
    return;
  }
  y[i] = x[row * p.pitch + i % p.pitch];
}
`,
  );
}

/**
 * scatter_add: y[r] = sum of x[q] over the q with index[q] = r, for every r that occurs; the other rows were cleared before.
 * The first q with an index adds up all of them in order and alone writes: no atomics, the same bytes every time.
 *
 * layout   x [q, pitch vec4], index u32 [q], y [rows, pitch vec4]
 * owns     one vec4 of x
 * cost     q comparisons an invocation, q^2 pitch in all: meant for some thousands of rows (queries, prototypes)
 * mirror   test/reference/scatter.ts
 */
export function scatterAddKernel(): Kernel {
  return kernel(
    'scatter_add',
    wgsl`
struct Params { count: u32, length: u32, rows: u32, pitch: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> index: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  let q = i / p.pitch;
  let unit = i % p.pitch;
  let row = index[q];
  if (row >= p.rows) { return; }
  for (var before = 0u; before < q; before++) {
    if (index[before] == row) { return; }
  }
  var sum = x[i];
  for (var after = q + 1u; after < p.length; after++) {
    if (index[after] == row) { sum += x[after * p.pitch + unit]; }
  }
  y[row * p.pitch + unit] = sum;
}
`,
  );
}
