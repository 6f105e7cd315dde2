import { activated, normOf } from './normed.ts';
import { wgsl } from './wgsl.ts';

/** An input that is one tensor x [..., Cin] or two joined along the channels, x [..., 4 own4] and then `also`. */
export interface JoinedInput {
  readonly joined: boolean;
  /** The last of them is read through its norm and activation (normed.ts); default false. */
  readonly normed?: boolean;
}

/**
 * Reading both without the joined tensor being made. Wants p.own4 where `joined`, the binding `also`, and `normedInput`
 * where `normed`.
 */
export const joinedInput = ({ joined, normed = false }: JoinedInput, binding: number): string => wgsl`
#if ${joined}
@group(0) @binding(${binding}) var<storage, read> also: array<vec4f>;
fn joined(voxel: u32, ci: u32, cin4: u32${normed ? ', norm: Norm' : ''}) -> vec4f {
  if (ci < p.own4) { return x[voxel * p.own4 + ci]; }
  let value = also[voxel * (cin4 - p.own4) + ci - p.own4];
  return ${activated(normed, 'value', 'norm')};
}
#endif
`;

/** `let NAME`, the norm of vec4 `ci` of a sample's input channels, where `normed`; wants `cin4` in scope. */
export const inputNorm = ({ joined, normed = false }: JoinedInput, name: string, n: string, ci = 'ci'): string =>
  joined
    ? normOf(normed, name, n, `max(${ci}, p.own4) - p.own4`, 'cin4 - p.own4')
    : normOf(normed, name, n, ci, 'cin4');

/** vec4 `ci` of a voxel's input channels; wants `cin4` in scope, and with `norm` what inputNorm declared. */
export const inputAt = ({ joined, normed = false }: JoinedInput, voxel: string, norm = '', ci = 'ci'): string =>
  joined
    ? `joined(${voxel}, ${ci}, cin4${normed ? `, ${norm}` : ''})`
    : activated(normed, `x[(${voxel}) * cin4 + ${ci}]`, norm);
