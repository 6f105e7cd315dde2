import { wgsl } from './wgsl.ts';

/**
 * Reading an input x [N, ..., Cin] through the norm and the leaky ReLU behind it, as norm_apply computes them, without the
 * activated tensor being made. `normOf` is loaded once for a sample and a vec4 of channels. Wants p.slope where `normed`,
 * and three bindings from `binding` on: stats [N, {mean, rstd}, Cin], gamma, beta [Cin].
 */
export const normedInput = (normed: boolean, binding: number): string => wgsl`
#if ${normed}
@group(0) @binding(${binding}) var<storage, read> stats: array<vec4f>;
@group(0) @binding(${binding + 1}) var<storage, read> gamma: array<vec4f>;
@group(0) @binding(${binding + 2}) var<storage, read> beta: array<vec4f>;
struct Norm { mean: vec4f, rstd: vec4f, gain: vec4f, shift: vec4f }
fn norm_of(n: u32, c: u32, pitch: u32) -> Norm {
  let row = 2u * n * pitch + c;
  return Norm(stats[row], stats[row + pitch], gamma[c], beta[c]);
}
fn activated(v: vec4f, norm: Norm) -> vec4f {
  let z = fma((v - norm.mean) * norm.rstd, norm.gain, norm.shift);
  return select(p.slope * z, z, z > vec4f(0.0));
}
#endif
`;

/** `let NAME = norm_of(...)` where `normed`. */
export const normOf = (normed: boolean, name: string, n: string, c: string, pitch: string): string =>
  normed ? `let ${name} = norm_of(${n}, ${c}, ${pitch});` : '';

/** The value as the kernel takes it. */
export const activated = (normed: boolean, value: string, norm: string): string =>
  normed ? `activated(${value}, ${norm})` : value;
