import { type Kernel, kernel } from '../engine/kernel.ts';
import { keeps, planWords } from './mix.wgsl.ts';
import { flatIndex, flatMain, wgsl } from './shared/wgsl.ts';

/**
 * `is_labelled(i, theirs)`: whether voxel i of the mixed patches is the labelled partner's, which holds it at `theirs`. In even
 * samples the plan keeps voxels of the unlabelled patch, in odd ones voxels of the labelled one. `partner(i)` is `theirs`.
 */
const pairs = (classes: number): string => wgsl`
${keeps(classes)}
fn partner(i: u32) -> u32 { return i / p.voxels % p.labelled * p.voxels + i % p.voxels; }
fn is_labelled(i: u32, theirs: u32) -> bool {
  let sample = i / p.voxels;
  let odd = sample % 2u == 1u;
  let label = select(labels[i], labelled_labels[theirs], odd);
  return keeps(sample * ${planWords(classes)}u, i % p.voxels, label) == odd;
}
`;

/**
 * mix_pairs_image: the image of each voxel from unlabelled patch i or from its partner, labelled patch i mod labelled.
 *
 * layout   image and image_out [samples * voxels, pitch vec4], labelled_image [labelled * voxels, pitch vec4], labels u32
 * owns     one voxel
 * cost     labels and one image read, one image written, memory bound
 * mirror   test/reference/mix_pairs.ts
 */
export function mixPairsImageKernel(classes: number): Kernel {
  return kernel(
    'mix_pairs_image',
    wgsl`
struct Params { count: u32, voxels: u32, h: u32, w: u32, labelled: u32, pitch: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> plan: array<u32>;
@group(0) @binding(2) var<storage, read> labels: array<u32>;
@group(0) @binding(3) var<storage, read> labelled_labels: array<u32>;
@group(0) @binding(4) var<storage, read> image: array<vec4f>;
@group(0) @binding(5) var<storage, read> labelled_image: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> image_out: array<vec4f>;
${flatIndex}
${pairs(classes)}
${flatMain}
  if (i >= p.count) { return; }
  let theirs = partner(i);
  let swapped = is_labelled(i, theirs);
  for (var unit = 0u; unit < p.pitch; unit++) {
    if (swapped) { image_out[i * p.pitch + unit] = labelled_image[theirs * p.pitch + unit]; }
    else { image_out[i * p.pitch + unit] = image[i * p.pitch + unit]; }
  }
}
`,
  );
}

/**
 * mix_pairs_labels: label, confidence and weight of each voxel by the same plan as its image. Voxels of labelled patches have
 * confidence and weight 1; those of unlabelled patch i their own confidence and weight p.factor, times share[i] if there are any.
 *
 * layout   labels u32, confidence f32 and the three outputs [samples * voxels], labelled_labels u32 [labelled * voxels],
 *          share f32 [samples]
 * owns     one voxel
 * cost     labels and confidence read, the outputs written once, memory bound
 * mirror   test/reference/mix_pairs.ts
 */
export function mixPairsLabelsKernel(classes: number, shared: boolean): Kernel {
  return kernel(
    'mix_pairs_labels',
    wgsl`
struct Params { count: u32, voxels: u32, h: u32, w: u32, labelled: u32, factor: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> plan: array<u32>;
@group(0) @binding(2) var<storage, read> labels: array<u32>;
@group(0) @binding(3) var<storage, read> labelled_labels: array<u32>;
@group(0) @binding(4) var<storage, read> confidence: array<f32>;
@group(0) @binding(5) var<storage, read_write> labels_out: array<u32>;
@group(0) @binding(6) var<storage, read_write> confidence_out: array<f32>;
@group(0) @binding(7) var<storage, read_write> weights_out: array<f32>;
#if ${shared}
@group(0) @binding(8) var<storage, read> share: array<f32>;
#endif
${flatIndex}
${pairs(classes)}
${flatMain}
  if (i >= p.count) { return; }
  let theirs = partner(i);
  if (is_labelled(i, theirs)) {
    labels_out[i] = labelled_labels[theirs];
    confidence_out[i] = 1.0;
    weights_out[i] = 1.0;
    return;
  }
  labels_out[i] = labels[i];
  confidence_out[i] = confidence[i];
#if ${shared}
  weights_out[i] = p.factor * share[i / p.voxels];
#else
  weights_out[i] = p.factor;
#endif
}
`,
  );
}
