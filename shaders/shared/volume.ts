import { wgsl } from './wgsl.ts';

/** `unravel(i, d, h, w, pitch)`: the place of the i-th vec4 of a volume [N, D, H, W, C]; `ravel` is its inverse. */
export const volumeIndex = wgsl`
struct Place { n: u32, z: u32, y: u32, x: u32, c: u32 }
fn unravel(i: u32, d: u32, h: u32, w: u32, pitch: u32) -> Place {
  let voxel = i / pitch;
  let row = voxel / w;
  let plane = row / h;
  return Place(plane / d, plane % d, row % h, voxel % w, i % pitch);
}
fn ravel(at: Place, d: u32, h: u32, w: u32, pitch: u32) -> u32 {
  return (((at.n * d + at.z) * h + at.y) * w + at.x) * pitch + at.c;
}
`;
