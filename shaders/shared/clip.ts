import { wgsl } from './wgsl.ts';

/**
 * `clipped(g)`: a gradient scaled by min(1, max_norm / (norm + 1e-6)), or as it is without clipping. Wants `norm` bound
 * as array<vec4f> (global norm in .x) and `max_norm` in Params when `clip` is set. torch.nn.utils.clip_grad_norm_.
 */
export const clipFunction = (clip: boolean) => wgsl`
#if ${clip}
fn clipped(g: vec4f) -> vec4f { return g * min(1.0, p.max_norm / (norm[0].x + 1e-6)); }
#else
fn clipped(g: vec4f) -> vec4f { return g; }
#endif
`;
