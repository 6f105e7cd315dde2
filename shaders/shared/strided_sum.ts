import { wgsl } from './wgsl.ts';

/**
 * `name(first, start, end, stride)`: x[first + row * pitch] added up over the rows start, start + stride, start + 2 stride, ... below
 * `end`. Four accumulators, so that loads overlap and rounding stays that of a quarter of the rows.
 */
export const stridedSum = (name = 'strided_sum', x = 'x', pitch = 'p.pitch'): string => wgsl`
fn ${name}(first: u32, start: u32, end: u32, stride: u32) -> vec4f {
  var s0 = vec4f(0.0);
  var s1 = vec4f(0.0);
  var s2 = vec4f(0.0);
  var s3 = vec4f(0.0);
  var row = start;
  for (; row + 3u * stride < end; row += 4u * stride) {
    let at = first + row * ${pitch};
    s0 += ${x}[at];
    s1 += ${x}[at + stride * ${pitch}];
    s2 += ${x}[at + 2u * stride * ${pitch}];
    s3 += ${x}[at + 3u * stride * ${pitch}];
  }
  for (; row < end; row += stride) { s0 += ${x}[first + row * ${pitch}]; }
  return (s0 + s1) + (s2 + s3);
}
`;
