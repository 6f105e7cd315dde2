import { flatIndex, flatMain, wgsl } from './wgsl.ts';

/** Invocations of a workgroup that shares a chunk; a power of two. */
export const CHUNK_LANES = 256;

/**
 * `chunk_size(first)`: how many of the voxels first, first + lanes, first + 2 lanes, ... are a chunk's, or a lane's share of it: at
 * most `length`. Wants p.lanes, p.length, p.voxels.
 */
const chunkSize = wgsl`
fn chunk_size(first: u32) -> u32 {
  if (first >= p.voxels) { return 0u; }
  return min(p.length, (p.voxels - first + p.lanes - 1u) / p.lanes);
}
`;

/** The part of Params that says where the chunks lie. */
export const chunkParams = (trees: boolean): string =>
  `${trees ? '' : 'count: u32, '}voxels: u32, pitch: u32, chunks: u32, lanes: u32, length: u32,`;

/**
 * Head of the entry point of a pass over x [samples, voxels, C] that leaves something of each chunk of voxels. Sets sample `n`, chunk
 * `k`, vec4 of channels `c`, and this invocation's voxels: `size` of them from `first` on, p.lanes apart.
 *
 * flat    an invocation has a chunk. p.lanes chunks interleave, so that neighbouring invocations read neighbouring addresses; once
 *         a chunk is empty, all later ones are
 * trees   a workgroup has a chunk of CHUNK_LANES / p.lanes (a power of two) neighbouring vec4 of channels, grid [chunks, columns,
 *         samples]; `lane` has every p.lanes-th voxel of one of them. Lanes behind the last channel have no voxels
 */
export const chunkMain = (trees: boolean): string =>
  trees
    ? wgsl`
${chunkSize}
@compute @workgroup_size(${CHUNK_LANES})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let width = ${CHUNK_LANES}u / p.lanes;
  let unit = group.y * width + lane % width;
  let n = group.z;
  let k = group.x;
  let c = min(unit, p.pitch - 1u);
  let first = k * p.lanes * p.length + lane / width;
  let size = select(0u, chunk_size(first), unit < p.pitch);
`
    : wgsl`
${chunkSize}
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  let c = i % p.pitch;
  let k = i / p.pitch % p.chunks;
  let n = i / (p.pitch * p.chunks);
  let first = k / p.lanes * p.lanes * p.length + k % p.lanes;
  let size = chunk_size(first);
`;

/** Its end: statements that write a chunk's result, with trees after `merge` has put the lanes' results together (shared/lane_trees.ts). */
export const chunkResult = (trees: boolean, merge: (last: string) => string, write: string): string =>
  trees
    ? wgsl`
  ${merge('width')}
  if (lane < width && unit < p.pitch) {
    ${write}
  }`
    : write;

/**
 * The code of a kernel that merges up to p.fan neighbouring chunks of `rows` rows of channels: x [samples, chunks, rows, C] to
 * y [samples, merged, rows, C], an invocation a (sample, merged chunk, vec4). Statements: `start` sees the first chunk in x at `first`,
 * `take` each one at `source`, `write` the merged one in y at `to`; rows are p.pitch apart.
 */
export const chunkMerge = (rows: number, start: string, take: string, write: string): string => wgsl`
struct Params { count: u32, pitch: u32, chunks: u32, merged: u32, fan: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  let c = i % p.pitch;
  let k = i / p.pitch % p.merged;
  let n = i / (p.pitch * p.merged);
  let end = min(p.chunks, (k + 1u) * p.fan);
  let first = (n * p.chunks + k * p.fan) * ${rows}u * p.pitch + c;
  ${start}
  for (var j = k * p.fan; j < end; j++) {
    let source = (n * p.chunks + j) * ${rows}u * p.pitch + c;
    ${take}
  }
  let to = ${rows}u * (i - c) + c;
  ${write}
}
`;
