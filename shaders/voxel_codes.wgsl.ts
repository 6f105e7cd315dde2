import { type Kernel, kernel } from '../engine/kernel.ts';
import { classes4, softmaxRow } from './shared/softmax.ts';
import { flatIndex, flatMain, wgsl } from './shared/wgsl.ts';

/** Code of a voxel that takes no part, and index of a voxel that does not exist. */
export const NOTHING = '0xffffffffu';

/**
 * voxel_codes: 2 label + hard for each valid voxel, 0xffffffff for the others. Valid: a label below `classes`, and with
 * `confident` a confidence of at least `weak`. Hard: softmax(logits)[label] < strong.
 *
 * layout   logits [rows, units vec4], labels u32, confidence f32 [rows]; codes u32, written from `base` on
 * owns     one voxel
 * cost     logits read once, memory bound
 * mirror   test/reference/sampling.ts
 */
export function voxelCodesKernel(classes: number, confident: boolean): Kernel {
  return kernel(
    'voxel_codes',
    wgsl`
struct Params { rows: u32, base: u32, strong: f32, weak: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> logits: array<vec4f>;
@group(0) @binding(2) var<storage, read> labels: array<u32>;
@group(0) @binding(3) var<storage, read_write> codes: array<u32>;
#if ${confident}
@group(0) @binding(4) var<storage, read> confidence: array<f32>;
#endif
${flatIndex}
${classes4}
${softmaxRow('logits', classes)}
${flatMain}
  if (i >= p.rows) { return; }
  let label = labels[i];
#if ${confident}
  let valid = label < ${classes}u && confidence[i] >= p.weak;
#else
  let valid = label < ${classes}u;
#endif
  if (!valid) {
    codes[p.base + i] = ${NOTHING};
    return;
  }
  let at = i * ${Math.ceil(classes / 4)}u;
  let max_log = logits_max_log(at);
  let hit = logits[at + label / 4u];
  let probability = exp((hit[label % 4u] - max_log.x) - max_log.y);
  codes[p.base + i] = 2u * label + u32(probability < p.strong);
}
`,
  );
}
