import { type Kernel, kernel } from '../engine/kernel.ts';
import { below } from './shared/below.ts';
import { flatIndex, flatMain, wgsl } from './shared/wgsl.ts';

/** What is taken from where, for each sample; 'both' draws between 'classmix' and 'cutmix'. */
export type Mixing = 'classmix' | 'cutmix' | 'cutout' | 'both' | 'none';

/** u32s of a sample's plan: kind, box [z0, z1) [y0, y1) [x0, x1), then the kept classes as bits. */
export const planWords = (classes: number): number => 7 + Math.ceil(classes / 32);

/** Random words a sample draws: kind, three extents, three starts, one a class. */
export const mixWords = (classes: number): number => 7 + classes;

const KIND = { none: 0, classmix: 1, cutmix: 2, cutout: 3 } as const;

export interface DrawMixOptions {
  mixing: Mixing;
  box: 'slab' | 'cuboid';
  classes: number;
  /** ClassMix keeps at least one class of an image, rather than none when it has one. */
  keepOneClass: boolean;
  /** Odd samples keep parts of a labelled patch (mix_pairs) instead of their own. */
  pairs: boolean;
}

/**
 * draw_mix: one plan a sample out of its random words. ClassMix keeps floor(n / 2) of the n present classes, every subset as
 * likely (selection sampling, Knuth 3.4.2 S). A slab is an in-plane box of half the area, `slices` deep; a cuboid has
 * 0.4 to 0.8 of each extent. Positions are uniform. Integers only. In pairs, what is present in an odd sample i is what labelled
 * patch i mod labelled holds.
 *
 * layout   words u32 [samples, 7 + classes], present u32 [samples, bit words], labelled_present u32 [labelled, bit words],
 *          plan u32 [samples, 7 + bit words]
 * owns     one sample
 * mirror   test/reference/mix.ts
 */
export function drawMixKernel({ mixing, box, classes, keepOneClass, pairs }: DrawMixOptions): Kernel {
  const bitWords = Math.ceil(classes / 32);
  return kernel(
    `draw_mix_${mixing}`,
    wgsl`
struct Params { samples: u32, d: u32, h: u32, w: u32, slices: u32${pairs ? ', labelled: u32' : ''} }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> words: array<u32>;
@group(0) @binding(2) var<storage, read> present: array<u32>;
@group(0) @binding(3) var<storage, read_write> plan: array<u32>;
#if ${pairs}
@group(0) @binding(4) var<storage, read> labelled_present: array<u32>;
#endif
${below}
${flatIndex}
// Extents [z, y, x] of the box.
fn extents(at: u32) -> vec3u {
#if ${box === 'slab'}
  let shortest = min(p.w / 2u + 1u, p.w);
  let longest = max(p.w, 2u) - 1u;
  let width = min(shortest + below(words[at + 3u], max(longest, shortest) - shortest + 1u), p.w);
  return vec3u(min(p.slices, p.d), min((p.h * p.w + width) / (2u * width), p.h), width);
#else
  let size = 2u * vec3u(p.d, p.h, p.w);
  let more = vec3u(below(words[at + 1u], size.x), below(words[at + 2u], size.y), below(words[at + 3u], size.z));
  return (size + more) / 5u;
#endif
}
fn present_word(i: u32, word: u32) -> u32 {
#if ${pairs}
  if (i % 2u == 1u) { return labelled_present[i % p.labelled * ${bitWords}u + word]; }
#endif
  return present[i * ${bitWords}u + word];
}
fn is_present(i: u32, c: u32) -> bool { return ((present_word(i, c / 32u) >> (c % 32u)) & 1u) == 1u; }
${flatMain}
  if (i >= p.samples) { return; }
  let at = i * ${mixWords(classes)}u;
  let out = i * ${planWords(classes)}u;
#if ${mixing === 'both'}
  plan[out] = select(${KIND.cutmix}u, ${KIND.classmix}u, words[at] < 0x80000000u);
#else
  plan[out] = ${KIND[mixing === 'both' ? 'none' : mixing]}u;
#endif
  let size = extents(at);
  let room = vec3u(p.d, p.h, p.w) - size + 1u;
  let start = vec3u(below(words[at + 4u], room.x), below(words[at + 5u], room.y), below(words[at + 6u], room.z));
  for (var axis = 0u; axis < 3u; axis++) {
    plan[out + 1u + 2u * axis] = start[axis];
    plan[out + 2u + 2u * axis] = start[axis] + size[axis];
  }

  var left = 0u;
  for (var word = 0u; word < ${bitWords}u; word++) { left += countOneBits(present_word(i, word)); }
#if ${keepOneClass}
  var wanted = max(left / 2u, 1u);
#else
  var wanted = left / 2u;
#endif
  var bits: array<u32, ${bitWords}>;
  for (var c = 0u; c < ${classes}u; c++) {
    if (!is_present(i, c)) { continue; }
    if (below(words[at + 7u + c], left) < wanted) {
      bits[c / 32u] |= 1u << (c % 32u);
      wanted--;
    }
    left--;
  }
  for (var word = 0u; word < ${bitWords}u; word++) { plan[out + 7u + word] = bits[word]; }
}
`,
  );
}

/** `keeps(at, voxel, label)`: whether the plan at `at` keeps a voxel of this label. Needs p.h, p.w and plan. */
export const keeps = (classes: number): string => wgsl`
fn keeps(at: u32, voxel: u32, label: u32) -> bool {
  let kind = plan[at];
  if (kind == ${KIND.none}u) { return true; }
  if (kind == ${KIND.classmix}u) {
    return label < ${classes}u && ((plan[at + 7u + min(label, ${classes - 1}u) / 32u] >> (label % 32u)) & 1u) == 1u;
  }
  let z = voxel / (p.h * p.w);
  let y = voxel / p.w % p.h;
  let x = voxel % p.w;
  let in_box = z >= plan[at + 1u] && z < plan[at + 2u] && y >= plan[at + 3u] && y < plan[at + 4u]
    && x >= plan[at + 5u] && x < plan[at + 6u];
  return !in_box;
}
`;

/**
 * apply_mix: image, labels and confidence of each voxel from its own sample where the plan keeps it, else from the
 * partner, sample i + 1 (the first for the last); Cutout: nothing there, label 0xffffffff, confidence 0.
 *
 * layout   image, image_out [samples * voxels, pitch vec4]; labels u32, confidence f32 [samples * voxels], and their outputs
 * owns     one voxel
 * cost     all three read and written once, memory bound
 * mirror   test/reference/mix.ts
 */
export function applyMixKernel(classes: number): Kernel {
  return kernel(
    'apply_mix',
    wgsl`
struct Params { count: u32, voxels: u32, h: u32, w: u32, pitch: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> plan: array<u32>;
@group(0) @binding(2) var<storage, read> image: array<vec4f>;
@group(0) @binding(3) var<storage, read> labels: array<u32>;
@group(0) @binding(4) var<storage, read> confidence: array<f32>;
@group(0) @binding(5) var<storage, read_write> image_out: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> labels_out: array<u32>;
@group(0) @binding(7) var<storage, read_write> confidence_out: array<f32>;
${flatIndex}
${keeps(classes)}
${flatMain}
  if (i >= p.count) { return; }
  let sample = i / p.voxels;
  let voxel = i % p.voxels;
  let at = sample * ${planWords(classes)}u;
  var source = i;
  if (!keeps(at, voxel, labels[i])) {
    if (plan[at] == ${KIND.cutout}u) {
      for (var unit = 0u; unit < p.pitch; unit++) { image_out[i * p.pitch + unit] = vec4f(0.0); }
      labels_out[i] = 0xffffffffu;
      confidence_out[i] = 0.0;
      return;
    }
    source = select(i + p.voxels, voxel, i + p.voxels >= p.count);
  }
  for (var unit = 0u; unit < p.pitch; unit++) { image_out[i * p.pitch + unit] = image[source * p.pitch + unit]; }
  labels_out[i] = labels[source];
  confidence_out[i] = confidence[source];
}
`,
  );
}
