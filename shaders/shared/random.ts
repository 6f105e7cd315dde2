import { wgsl } from './wgsl.ts';

/**
 * Counter-based random numbers, the twin of engine/random.ts: the same four words from the same four counters. Kernels
 * call it as pcg4d(vec4u(seed, step, stream, index)).
 *   pcg4d(v)     four well-mixed 32-bit words (Jarzynski and Olano, JCGT 9(3), 2020)
 *   unit4(v)     words as f32 in [0, 1), upper 24 bits, equal to the host's
 *   normal4(v)   four standard normals by Box and Muller (1958): radius and angle from (x, y) and from (z, w); the angle
 *                is kept within +-pi, where WGSL bounds the error of sine and cosine
 */
export const random = wgsl`
fn pcg4d(counters: vec4u) -> vec4u {
  var v = counters * 1664525u + 1013904223u;
  v.x += v.y * v.w;
  v.y += v.z * v.x;
  v.z += v.x * v.y;
  v.w += v.y * v.z;
  v ^= v >> vec4u(16u);
  v.x += v.y * v.w;
  v.y += v.z * v.x;
  v.z += v.x * v.y;
  v.w += v.y * v.z;
  return v;
}
fn unit4(words: vec4u) -> vec4f { return vec4f(words >> vec4u(8u)) / 16777216.0; }
fn normal4(words: vec4u) -> vec4f {
  let u = unit4(words);
  let radius = sqrt(max(-2.0 * log(1.0 - u.xz), vec2f(0.0)));
  let angle = 6.2831853 * (u.yw - 0.5);
  return -vec4f(radius.x * cos(angle.x), radius.x * sin(angle.x), radius.y * cos(angle.y), radius.y * sin(angle.y));
}
`;
