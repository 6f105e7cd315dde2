import { wgsl } from './wgsl.ts';

/**
 * A tree over the lanes of a workgroup: `lane` combines with `lane + stride` by the statements of `merge` while the stride halves,
 * down to `last`. `merge` reads workgroup memory at `lane + stride` and writes it at `lane`; what it first reads was written before.
 *
 * @param lanes invocations of the workgroup, a power of two
 * @param last a power of two in WGSL, the same for the whole workgroup; so many lanes hold a result
 */
export const tree = (lanes: number, merge: string, last = '1u'): string => wgsl`
  for (var stride = ${lanes / 2}u; stride >= ${last}; stride = stride / 2u) {
    workgroupBarrier();
    if (lane < stride) {
      ${merge}
    }
  }
`;
