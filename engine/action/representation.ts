import { uniform } from '../nn/init.ts';
import type { ParameterSpec } from '../nn/parameter_layout.ts';
import type { Parameters } from '../nn/parameters.ts';
import { l2Normalize } from '../ops/l2_normalize.ts';
import { linear, matmul } from '../ops/matmul.ts';
import type { PackedOperands } from '../ops/matmul_windows.ts';
import { type SampleFeaturesOptions, sampleFeatures, tapChannels } from '../ops/sample_features.ts';
import type { Recording } from '../recording.ts';
import { padChannels, type Triple } from '../shape.ts';
import { channels, type Tensor } from '../tensor.ts';
import { mlp } from './heads.ts';

/** Of each feature level, coarse to fine, its student passes [N, d, h, w, C]; passes hold consecutive samples. */
export type FeatureLevels = readonly (readonly Tensor[])[];

export type HeadKind = 'dense-3x3x3' | 'pointwise';

/** The student's representation head R (method.md 4.7), evaluated at single voxels only (9.1.2). */
export interface RepresentationHead {
  readonly kind: HeadKind;
  readonly specs: readonly ParameterSpec[];
  readonly sampling: SampleFeaturesOptions;
  /** Rows of sampleFeatures [Q, taps * channels], made with `packed` if given, to representations [Q, d], not normalised. */
  forward(rec: Recording, parameters: Parameters, sampled: Tensor, packed?: PackedOperands): Tensor;
}

export interface HeadOptions {
  /**
   * 'dense-3x3x3': 3 x 3 x 3 convolution over all levels resized and concatenated, no bias, then 1 x 1 x 1 with bias; affine.
   * 'pointwise': 1 x 1 x 1, leaky ReLU, 1 x 1 x 1, both with bias.
   */
  readonly head: HeadKind;
  /** Width of the hidden layer. */
  readonly headHidden: number;
  /** d: length of a representation. */
  readonly headChannels: number;
  /** Corner convention of the resizing. */
  readonly alignCorners: boolean;
}

/**
 * @param levelChannels channels of the feature levels in the order that FeatureLevels has; each counts as padded to a multiple
 *   of 4 in the first weight (rows of padding multiply zeros and never learn)
 * @param patch extents [z, y, x] at full resolution
 */
export function representationHead(
  levelChannels: readonly number[],
  patch: Triple,
  { head: kind, headHidden: hidden, headChannels, alignCorners }: HeadOptions,
): RepresentationHead {
  const stored = levelChannels.reduce((sum, n) => sum + padChannels(n), 0);
  if (kind === 'pointwise') {
    const { specs, forward } = mlp('representation', stored, hidden, headChannels);
    return { kind, specs, forward, sampling: { size: patch, neighbourhood: 1, alignCorners } };
  }
  const first = uniform(1 / Math.sqrt(27 * levelChannels.reduce((a, b) => a + b, 0)));
  const second = uniform(1 / Math.sqrt(hidden));
  return {
    kind,
    specs: [
      { name: 'representation.conv.weight', shape: [27 * stored, hidden], init: first },
      { name: 'representation.out.weight', shape: [hidden, headChannels], init: second },
      { name: 'representation.out.bias', shape: [headChannels], init: second },
    ],
    sampling: { size: patch, neighbourhood: 3, alignCorners },
    forward(rec, parameters, sampled, packed) {
      const convolved = matmul(rec, sampled, parameters.get('representation.conv.weight'), { packed });
      return linear(
        rec,
        convolved,
        parameters.get('representation.out.weight'),
        parameters.get('representation.out.bias'),
      );
    },
  };
}

/** The representations of single voxels, [Q, d] with gradient to head and levels. `points` as in sampleFeatures. */
export function represent(
  rec: Recording,
  head: RepresentationHead,
  parameters: Parameters,
  levels: FeatureLevels,
  points: Tensor,
): Tensor {
  const packed = head.kind === 'dense-3x3x3' ? ([] as PackedOperands) : undefined;
  return head.forward(rec, parameters, sampleFeatures(rec, levels, points, head.sampling, packed), packed);
}

/** Sampled features of keys that are held at once, unless told otherwise. */
const KEY_BYTES = 32 * 2 ** 20;

/** Representations of unit length, [Q, d], without gradient: keys. At most `bytes` of sampled features are held at once. */
export function representKeys(
  rec: Recording,
  head: RepresentationHead,
  parameters: Parameters,
  levels: FeatureLevels,
  points: Tensor,
  bytes: number = KEY_BYTES,
): Tensor {
  return rec.noGrad(() => {
    const count = channels(points);
    const rowBytes = head.sampling.neighbourhood ** 3 * tapChannels(levels) * 4;
    // Starts of views of `points` must be multiples of 256 bytes.
    const most = Math.max(64, Math.floor(bytes / rowBytes / 64) * 64);
    const unit = (at: Tensor) => l2Normalize(rec, represent(rec, head, parameters, levels, at));
    if (count <= most) return unit(points);
    const d = parameters.get(head.specs[head.specs.length - 1].name).shape[0];
    const all = rec.tensor([count, d], 'keys');
    for (let from = 0; from < count; from += most) {
      const length = Math.min(most, count - from);
      const part = unit({ ...points, shape: [length], pitch: length, offset: points.offset + from * 4 });
      rec.copy(part, { ...all, shape: [length, d], offset: from * all.pitch * 4 });
    }
    return all;
  });
}
