import { wgsl } from './wgsl.ts';

/**
 * Linear interpolation along one axis. Output o reads the source position (step o + bias) / den, clamped to [0, size - 1]: an
 * exact fraction, so that an op and its adjoint agree on every neighbour. Both corner conventions are values of step, bias, den.
 *   pair(o, size, step, bias, den)        the two neighbours and the weight of the higher one
 *   weight(o, i, size, step, bias, den)   the weight of input i in output o, in units of 1 / den
 *   readers(i, out, step, bias, den)      the outputs that may read input i: from first to end - 1
 */
export const interpolation = wgsl`
struct Pair { low: u32, high: u32, weight: f32 }
fn pair(o: u32, size: u32, step: i32, bias: i32, den: i32) -> Pair {
  let last = i32(size) - 1;
  let position = clamp(step * i32(o) + bias, 0, last * den);
  let low = position / den;
  return Pair(u32(low), u32(min(low + 1, last)), f32(position - low * den) / f32(den));
}
fn between(a: vec4f, b: vec4f, weight: f32) -> vec4f { return a + weight * (b - a); }
fn weight(o: i32, i: u32, size: u32, step: i32, bias: i32, den: i32) -> f32 {
  let position = clamp(step * o + bias, 0, (i32(size) - 1) * den);
  return f32(max(den - abs(position - i32(i) * den), 0));
}
struct Readers { first: i32, end: i32 }
fn readers(i: u32, out: u32, step: i32, bias: i32, den: i32) -> Readers {
  let below = (i32(i) - 1) * den - bias;
  let above = (i32(i) + 1) * den - bias;
  return Readers(select(0, below / step + 1, below >= 0), min((max(above, 0) + step - 1) / step, i32(out)));
}
`;

/** The fields of Params that say how a volume [d, h, w] is read at the resolution [od, oh, ow]. */
export const resizeFields = `
  d: u32, h: u32, w: u32, od: u32, oh: u32, ow: u32,
  step_z: i32, step_y: i32, step_x: i32, bias_z: i32, bias_y: i32, bias_x: i32, den_z: i32, den_y: i32, den_x: i32,
`;
