import { wgsl } from './wgsl.ts';

/**
 * `strided_sum`: x[first + row * p.pitch] added up over the rows start, start + stride, start + 2 stride, ... below `end`. Four
 * accumulators, so that loads overlap and rounding stays that of a quarter of the rows.
 */
export const stridedSum = wgsl`
fn strided_sum(first: u32, start: u32, end: u32, stride: u32) -> vec4f {
  var s0 = vec4f(0.0);
  var s1 = vec4f(0.0);
  var s2 = vec4f(0.0);
  var s3 = vec4f(0.0);
  var row = start;
  for (; row + 3u * stride < end; row += 4u * stride) {
    let at = first + row * p.pitch;
    s0 += x[at];
    s1 += x[at + stride * p.pitch];
    s2 += x[at + 2u * stride * p.pitch];
    s3 += x[at + 3u * stride * p.pitch];
  }
  for (; row < end; row += stride) { s0 += x[first + row * p.pitch]; }
  return (s0 + s1) + (s2 + s3);
}
`;
