import { type Kernel, kernel } from '../engine/kernel.ts';
import { FAN } from './count_tree.wgsl.ts';
import { below } from './shared/below.ts';
import { flatIndex, flatMain, wgsl } from './shared/wgsl.ts';
import { NOTHING } from './voxel_codes.wgsl.ts';

/**
 * sample_voxels: for each random word a voxel of its class, uniform with replacement: number r = floor(word n / 2^32) of the
 * n voxels in memory order, found by walking down the count tree; 0xffffffff where n is 0 or the class is none.
 *
 * layout   codes u32 [voxels], level1..3 u32 [nodes, 2 classes], words u32 [draws * stride], y u32 [draws]
 * owns     one draw; its class is chosen[i] or i / per_class
 * cost     at most 64 reads a level and as many codes
 * mirror   test/reference/sampling.ts
 */
export function sampleVoxelsKernel(classes: number, hard: boolean, chosen: boolean): Kernel {
  const columns = 2 * classes;
  return kernel(
    `sample_voxels_${hard ? 'hard' : 'valid'}`,
    wgsl`
struct Params { draws: u32, stride: u32, at: u32, per_class: u32, voxels: u32, nodes1: u32, nodes2: u32, nodes3: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> codes: array<u32>;
@group(0) @binding(2) var<storage, read> level1: array<u32>;
@group(0) @binding(3) var<storage, read> level2: array<u32>;
@group(0) @binding(4) var<storage, read> level3: array<u32>;
@group(0) @binding(5) var<storage, read> words: array<u32>;
@group(0) @binding(6) var<storage, read_write> y: array<u32>;
#if ${chosen}
@group(0) @binding(7) var<storage, read> chosen: array<u32>;
#endif
${below}
${flatIndex}
${flatMain}
  if (i >= p.draws) { return; }
#if ${chosen}
  let label = chosen[i];
#else
  let label = i / p.per_class;
#endif
  if (label >= ${classes}u) {
    y[i] = ${NOTHING};
    return;
  }
  let column = 2u * label + ${hard ? 1 : 0}u;
  var total = 0u;
  for (var node = 0u; node < p.nodes3; node++) { total += level3[node * ${columns}u + column]; }
  if (total == 0u) {
    y[i] = ${NOTHING};
    return;
  }
  var rank = below(words[i * p.stride + p.at], total);
  var node = 0u;
  var end = p.nodes3;
  ${[3, 2, 1]
    .map(
      (level) => `
  for (; node + 1u < end; node++) {
    let inside = level${level}[node * ${columns}u + column];
    if (rank < inside) { break; }
    rank -= inside;
  }
  node *= ${FAN}u;
  end = min(node + ${FAN}u, ${level === 1 ? 'p.voxels' : `p.nodes${level - 1}`});`,
    )
    .join('')}
  for (; node + 1u < end; node++) {
#if ${hard}
    let hit = codes[node] == column;
#else
    let hit = codes[node] / 2u == label;
#endif
    if (hit && rank == 0u) { break; }
    rank -= u32(hit);
  }
  y[i] = node;
}
`,
  );
}

/**
 * draw_classes: a class by inverse CDF for each pair of random words, its first word (24 bits) against row i / per_row of
 * the cumulative shares. With `pool` a random member of it: class * pool + floor(second word * pool / 2^32).
 *
 * layout   cdf f32 [rows, classes], words u32 [draws, 2], y u32 [draws]; 0xffffffff where a row has no class
 * owns     one draw
 * mirror   test/reference/sampling.ts
 */
export function drawClassesKernel(classes: number, pool: boolean): Kernel {
  return kernel(
    pool ? 'draw_members' : 'draw_classes',
    wgsl`
struct Params { draws: u32, per_row: u32, pool: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> cdf: array<f32>;
@group(0) @binding(2) var<storage, read> words: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<u32>;
${below}
${flatIndex}
${flatMain}
  if (i >= p.draws) { return; }
  let row = i / p.per_row * ${classes}u;
  let u = f32(words[2u * i] >> 8u) / 16777216.0;
  var label = ${NOTHING};
  var before = 0.0;
  for (var c = 0u; c < ${classes}u; c++) {
    let upto = cdf[row + c];
    if (upto > before) { label = c; }
    if (u < upto) { break; }
    before = upto;
  }
#if ${pool}
  y[i] = select(label * p.pool + below(words[2u * i + 1u], p.pool), label, label == ${NOTHING});
#else
  y[i] = label;
#endif
}
`,
  );
}
