import { wgsl } from './wgsl.ts';

/** `clip_factor(norm)`: min(1, max_norm / (norm + 1e-6)), or 1 with `max_norm` 0 in Params. torch.nn.utils.clip_grad_norm_. */
export const clipFactor = wgsl`
fn clip_factor(norm: f32) -> f32 {
  return select(1.0, min(1.0, p.max_norm / (norm + 1e-6)), p.max_norm > 0.0);
}
`;

/**
 * `gradient_factor()`: what an optimiser multiplies gradients by, 1 without clipping; with 0 the step is to leave everything as it
 * is. Wants `clip` bound as array<vec4f> (norm in .x, factor in .y) when `clip` is set.
 */
export const gradientFactor = (clip: boolean) => wgsl`
#if ${clip}
fn gradient_factor() -> f32 { return clip[0].y; }
#else
fn gradient_factor() -> f32 { return 1.0; }
#endif
`;
