import { wgsl } from './wgsl.ts';

/**
 * Reading an input that is one tensor x [..., Cin] or two joined along the channels, x [..., 4 own4] and then `also`, without
 * the joined tensor being made. Wants p.own4 where `joined`, and the binding `also`.
 */
export const joinedInput = (joined: boolean, binding: number): string => wgsl`
#if ${joined}
@group(0) @binding(${binding}) var<storage, read> also: array<vec4f>;
fn joined(voxel: u32, ci: u32, cin4: u32) -> vec4f {
  if (ci < p.own4) { return x[voxel * p.own4 + ci]; }
  return also[voxel * (cin4 - p.own4) + ci - p.own4];
}
#endif
`;

/** vec4 `ci` of a voxel's input channels; wants `cin4` in scope. */
export const inputAt = (joined: boolean, voxel: string): string =>
  joined ? `joined(${voxel}, ci, cin4)` : `x[(${voxel}) * cin4 + ci]`;
