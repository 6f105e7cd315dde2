import { wgsl as tag } from 'wgsl-preprocessor/wgsl-preprocessor.js';

/** The template tag of every shader: `#if ${…}`, `#elif ${…}`, `#else`, `#endif`; values are put in as text. */
export const wgsl: (strings: TemplateStringsArray, ...values: unknown[]) => string = tag;

/** The text of `line` for 0, 1, … n-1: what other languages would unroll (Tint does not). */
export function repeat(n: number, line: (i: number) => string): string {
  return Array.from({ length: n }, (_, i) => line(i)).join('\n');
}

/** Invocations in a workgroup of the flat kernels. */
export const WORKGROUP = 64;

/**
 * `flat_index`: which of the invocations this is, undoing the fold of Recording.dispatch (one grid dimension holds
 * only 65,535 workgroups). Use with `@workgroup_size(64)` and the two builtins.
 */
export const flatIndex = wgsl`
fn flat_index(group: vec3<u32>, groups: vec3<u32>, local: u32) -> u32 {
  return (group.y * groups.x + group.x) * ${WORKGROUP}u + local;
}
`;

/** The head of a flat kernel's entry point; sets `i`. */
export const flatMain = wgsl`
@compute @workgroup_size(${WORKGROUP})
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let i = flat_index(group, groups, local);
`;

/**
 * The head of an entry point whose workgroups of `size` invocations are counted, undoing the fold of Recording.dispatch: sets `i`, the
 * number of the workgroup, and `local`. Wants p.count; `builtins` are further parameters.
 */
export const groupMain = (size: number, builtins: readonly string[] = []): string => wgsl`
@compute @workgroup_size(${size})
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
  ${builtins.map((one) => `${one},`).join(' ')}
) {
  let i = group.y * grid.x + group.x;
  if (i >= p.count) { return; }
`;
