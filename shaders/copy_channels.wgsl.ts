import { type Kernel, kernel } from '../engine/kernel.ts';
import { flatIndex, flatMain, wgsl } from './shared/wgsl.ts';

/**
 * copy_channels: a window of each row of x into a window of each row of y, zeros around it:
 *   y[row, write_at + j] = x[row, read_at + j - lead] where lead <= j < lead + length, else 0, for j < width.
 * One dispatch an input makes concat; slice, its gradient and concat's gradient are one dispatch each.
 *
 * layout   everything counted in units: vec4 where all windows lie on multiples of four channels, else f32
 * owns     one unit of y
 * cost     two units of traffic an invocation, memory bound
 * mirror   test/reference/concat.ts, slice.ts
 */
export function copyChannelsKernel(unit: 'vec4f' | 'f32'): Kernel {
  return kernel(
    `copy_channels_${unit}`,
    wgsl`
struct Params { count: u32, width: u32, x_pitch: u32, y_pitch: u32, read_at: u32, write_at: u32, lead: u32, length: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<${unit}>;
@group(0) @binding(2) var<storage, read_write> y: array<${unit}>;
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  let row = i / p.width;
  let j = i % p.width;
  var value = ${unit}(0.0);
  if (j >= p.lead && j < p.lead + p.length) { value = x[row * p.x_pitch + p.read_at + j - p.lead]; }
  y[row * p.y_pitch + p.write_at + j] = value;
}
`,
  );
}
