import { addClassMeansKernel, classWeightsKernel } from '../../shaders/class_means.wgsl.ts';
import { UsageError } from '../errors.ts';
import type { Parameters } from '../nn/parameters.ts';
import { matmul } from '../ops/matmul.ts';
import { resizeParams } from '../ops/resize3d.ts';
import { type SampleFeaturesOptions, tapChannels } from '../ops/sample_features.ts';
import type { Recording } from '../recording.ts';
import { padChannels } from '../shape.ts';
import { channels, rows, type Tensor, volumeShape } from '../tensor.ts';
import type { FeatureLevels, HeadKind, RepresentationHead } from './representation.ts';
import type { VoxelIndex } from './sampling.ts';

/** Weights of classMeans that are held at once. */
const WEIGHT_BYTES = 16 * 2 ** 20;

/**
 * The mean over all valid voxels of each class of their 3 x 3 x 3 neighbourhoods, [classes, 27 * channels] as sampleFeatures lays a
 * row out, without visiting them: by the adjoint of the resizing on the shifted masks (method.md 9.1.3). Zero for an absent
 * class. Through an affine head it gives the mean representation. No gradient.
 */
export function classMeans(
  rec: Recording,
  levels: FeatureLevels,
  { codes, totals, classes }: VoxelIndex,
  { size, alignCorners }: SampleFeaturesOptions,
): Tensor {
  return rec.noGrad(() => {
    const tapPitch = tapChannels(levels) / 4;
    const means = rec.tensor([classes, 27 * tapPitch * 4], 'class_means');
    rec.clear(means);
    let at = 0;
    for (const passes of levels) {
      let firstSample = 0;
      for (const x of passes) {
        const [samples, d, h, w] = volumeShape(x, 'classMeans');
        const resize = resizeParams([d, h, w], size, alignCorners);
        for (const part of parts(rows(x), 3 * classes)) {
          const { firstRow, count, firstLine, lines } = part;
          const weights = rec.tensor([count, lines * 3 * classes], 'class_weights');
          const where = { first_row: firstRow, first_line: firstLine, lines, first_sample: firstSample };
          rec.dispatch(
            classWeightsKernel(classes),
            { codes, y: weights },
            { count: count * lines, pitch: weights.pitch, ...where, ...resize },
            count * lines,
          );
          const features: Tensor = { ...x, shape: [count, channels(x)], offset: x.offset + firstRow * x.pitch * 4 };
          const sums = matmul(rec, weights, features, { transposeA: true });
          const units = (rows(sums) * sums.pitch) / 4;
          rec.dispatch(
            addClassMeansKernel(classes),
            { x: sums, totals, y: means },
            { count: units, pitch: sums.pitch / 4, first_line: firstLine, tap_pitch: tapPitch, at },
            units,
          );
        }
        firstSample += samples;
      }
      at += passes[0].pitch / 4;
    }
    return means;
  });
}

interface MeanPart {
  firstRow: number;
  count: number;
  firstLine: number;
  lines: number;
}

/** Cuts voxels x nine tap lines into parts whose weights fit in WEIGHT_BYTES: all lines of a small level, one line and some voxels of a big one. */
function parts(voxels: number, columnsPerLine: number): MeanPart[] {
  const found: MeanPart[] = [];
  const bytes = (lines: number) => padChannels(lines * columnsPerLine) * 4;
  const lines = [9, 3, 1].find((n) => voxels * bytes(n) <= WEIGHT_BYTES) ?? 1;
  // Starts of views of the features must be multiples of 256 bytes, so of 16 vec4s.
  const most = Math.max(16, Math.floor(WEIGHT_BYTES / bytes(lines) / 16) * 16);
  for (let firstLine = 0; firstLine < 9; firstLine += lines) {
    for (let firstRow = 0; firstRow < voxels; firstRow += most) {
      found.push({ firstRow, count: Math.min(most, voxels - firstRow), firstLine, lines });
    }
  }
  return found;
}

/** Errors: UsageError for a head that is not affine, whose mean is not the head of the mean. */
export function checkHead(kind: HeadKind): void {
  if (kind === 'dense-3x3x3') return;
  throw new UsageError(
    `stage2.prototypes 'exact' needs an affine head, but stage2.head is '${kind}'; set stage2.prototypes to 'sampled' or stage2.head to 'dense-3x3x3'`,
  );
}

/** Mean representation of each class over all its voxels, [classes, d], not normalised. Errors: UsageError for a head that is not affine. */
export function exactPrototypes(
  rec: Recording,
  head: RepresentationHead,
  parameters: Parameters,
  levels: FeatureLevels,
  index: VoxelIndex,
): Tensor {
  checkHead(head.kind);
  return rec.noGrad(() => head.forward(rec, parameters, classMeans(rec, levels, index, head.sampling)));
}
