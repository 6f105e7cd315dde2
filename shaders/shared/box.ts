import type { Triple } from '../../engine/shape.ts';
import { wgsl } from './wgsl.ts';

/**
 * Kernels of stride 1 whose workgroups take a volume box by box: boxes are counted with x innermost, then y, z, samples, and so
 * are the voxels of a box. Extents are [z, y, x].
 */

/** vec4 from one row of a tile in workgroup memory to the next: odd, so that rows lie in different banks. */
export const oddPitch = (width: number): number => width + 1 - (width % 2);

/** `n` and `box_z`, `box_y`, `box_x`: sample and first voxel of box `number`. Wants p.tiles_x, p.tiles_y, p.tiles_z. */
export const boxCorner = (number: string, [z, y, x]: Triple): string => wgsl`
  var rest = ${number};
  let box_x = (rest % p.tiles_x) * ${x}u;
  rest = rest / p.tiles_x;
  let box_y = (rest % p.tiles_y) * ${y}u;
  rest = rest / p.tiles_y;
  let box_z = (rest % p.tiles_z) * ${z}u;
  let n = rest / p.tiles_z;`;

/** `hz`, `hy`, `hx`: where voxel `j` lies in a box. `e` ends all names, so that several voxels can be under way (copy.ts). */
export const boxVoxel = ([, y, x]: Triple, e: number): string => wgsl`
      let hx${e} = j${e} % ${x}u;
      let hy${e} = (j${e} / ${x}u) % ${y}u;
      let hz${e} = j${e} / ${y * x}u;`;

/**
 * The voxel of an input [N, p.depth, p.height, p.width] that voxel `j` of a box meets, the box beginning p.pad_* before the
 * corner: `inside` tells whether there is one (what lies in front of the first has wrapped around), and `voxel` which; 0 where
 * there is none. `e` as for boxVoxel.
 */
export const inputVoxel = (box: Triple, e: number): string => wgsl`
      ${boxVoxel(box, e)}
      let xx${e} = box_x + hx${e} - p.pad_x;
      let yy${e} = box_y + hy${e} - p.pad_y;
      let zz${e} = box_z + hz${e} - p.pad_z;
      let inside${e} = xx${e} < p.width && yy${e} < p.height && zz${e} < p.depth;
      let voxel${e} = select(0u, ((n * p.depth + zz${e}) * p.height + yy${e}) * p.width + xx${e}, inside${e});`;
