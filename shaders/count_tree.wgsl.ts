import { type Kernel, kernel } from '../engine/kernel.ts';
import { flatIndex, flatMain, wgsl } from './shared/wgsl.ts';

/** Children of a node. */
export const FAN = 64;

/**
 * count_leaves: how many voxels of each class are valid, and how many of them hard, in every run of 64 codes.
 *
 * layout   codes u32 [voxels]; y u32 [nodes, 2 classes], columns 2c: valid, 2c + 1: hard
 * owns     one node
 * cost     4 bytes read a voxel, memory bound
 * mirror   test/reference/sampling.ts
 */
export function countLeavesKernel(classes: number): Kernel {
  return kernel(
    'count_leaves',
    wgsl`
struct Params { count: u32, voxels: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> codes: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<u32>;
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  var counts: array<u32, ${2 * classes}>;
  for (var voxel = i * ${FAN}u; voxel < min((i + 1u) * ${FAN}u, p.voxels); voxel++) {
    let code = codes[voxel];
    if (code >= ${2 * classes}u) { continue; }
    counts[code & 0xfffffffeu]++;
    counts[code | 1u] += code & 1u;
  }
  for (var column = 0u; column < ${2 * classes}u; column++) { y[i * ${2 * classes}u + column] = counts[column]; }
}
`,
  );
}

/** count_nodes: y[node] = sum of its children (`fan` of them, fewer at the end), column by column. One number an invocation. */
export function countNodesKernel(): Kernel {
  return kernel(
    'count_nodes',
    wgsl`
struct Params { count: u32, children: u32, fan: u32, columns: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<u32>;
${flatIndex}
${flatMain}
  if (i >= p.count) { return; }
  let node = i / p.columns;
  var sum = 0u;
  for (var child = node * p.fan; child < min((node + 1u) * p.fan, p.children); child++) {
    sum += x[child * p.columns + i % p.columns];
  }
  y[i] = sum;
}
`,
  );
}
