import { type Kernel, kernel } from '../engine/kernel.ts';
import { WINOGRAD_POINTS, WINOGRAD_WEIGHTS } from './shared/row.ts';
import { flatIndex, flatMain, wgsl } from './shared/wgsl.ts';

/**
 * pack_weights: out[slice, tap, row, column] from w[tap, Cin, Cout]: transposed (rows = Cout, columns = Cin) or not, taps
 * flipped or not, the columns cut into slices of `slice` vec4 so that one slice fits a uniform binding. With `winograd` the
 * three taps along x become the six points of F(4, 3). Only the input channels from `first` on are taken, as many as rows (or,
 * transposed, columns).
 *
 * layout   flat; one invocation a vec4 of `out`; columns behind the last real one are zero
 * mirror   test/ops/conv3d.test.ts (through every convolution gradient)
 */
export function packWeightsKernel(options: { transpose: boolean; flip: boolean; winograd?: boolean }): Kernel {
  const { transpose, flip, winograd = false } = options;
  return kernel(
    `pack_weights${transpose ? '_transposed' : ''}${flip ? '_flipped' : ''}${winograd ? '_winograd' : ''}`,
    wgsl`
struct Params {
  count: u32, taps: u32, rows: u32, columns: u32, slice: u32, pitch: u32, stride: u32, cin: u32, first: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4f>;
${flatIndex}
fn weight(tap: u32, row: u32, column: u32) -> f32 {
  #if ${flip}
  let t = p.taps - 1u - tap;
  #else
  let t = tap;
  #endif
  #if ${transpose}
  return w[(t * p.cin + p.first + column) * p.pitch + row];
  #else
  return w[(t * p.cin + p.first + row) * p.pitch + column];
  #endif
}
#if ${winograd}
const POINTS = array<vec3f, ${WINOGRAD_POINTS}>(${WINOGRAD_WEIGHTS.map((g) => `vec3f(${g.join(', ')})`).join(', ')});
#endif
fn value(tap: u32, row: u32, column: u32) -> f32 {
  if (column >= p.columns) { return 0.0; }
  #if ${winograd}
  var points = POINTS;
  let first = (tap / ${WINOGRAD_POINTS}u) * 3u;
  let taps = vec3f(weight(first, row, column), weight(first + 1u, row, column), weight(first + 2u, row, column));
  return dot(points[tap % ${WINOGRAD_POINTS}u], taps);
  #else
  return weight(tap, row, column);
  #endif
}
${flatMain}
  if (i >= p.count) { return; }
  let per_slice = p.taps${winograd ? ' * 2u' : ''} * p.rows * p.slice;
  let at = i % p.stride;
  let column = ((i / p.stride) * p.slice + at % p.slice) * 4u;
  let row = (at / p.slice) % p.rows;
  let tap = at / (p.slice * p.rows);
  if (at >= per_slice) { out[i] = vec4f(0.0); return; }
  out[i] = vec4f(value(tap, row, column), value(tap, row, column + 1u), value(tap, row, column + 2u), value(tap, row, column + 3u));
}
`,
  );
}
