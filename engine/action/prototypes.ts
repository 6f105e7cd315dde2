import {
  AXIS_TILE,
  addClassMeansKernel,
  CLASS_GROUP,
  classMaskKernel,
  classWeightsAxisKernel,
  classWeightsXKernel,
} from '../../shaders/class_means.wgsl.ts';
import { UsageError } from '../errors.ts';
import type { Parameters } from '../nn/parameters.ts';
import { correlate3d } from '../ops/conv3d.ts';
import { matmul } from '../ops/matmul.ts';
import { type AxisMap, axisMap } from '../ops/resize3d.ts';
import { type SampleFeaturesOptions, tapChannels } from '../ops/sample_features.ts';
import type { Recording } from '../recording.ts';
import { ceilDiv, padChannels, product, sameShape, type Triple } from '../shape.ts';
import { channels, elementBytes, rows, type Tensor, volumeShape } from '../tensor.ts';
import type { FeatureLevels, HeadKind, RepresentationHead } from './representation.ts';
import type { VoxelIndex } from './sampling.ts';

/** Weights that are held at once, unless told otherwise; of those along x and y twice as many. */
const WEIGHT_BYTES = 16 * 2 ** 20;

/**
 * The mean over all valid voxels of each class of their 3 x 3 x 3 neighbourhoods, [classes, 27 * channels] as sampleFeatures lays a
 * row out, without visiting them: by the adjoint of the resizing on the shifted masks (method.md 9.1.3), axis by axis. Zero
 * for an absent class. Through an affine head it gives the mean representation. No gradient.
 */
export function classMeans(
  rec: Recording,
  levels: FeatureLevels,
  index: VoxelIndex,
  sampling: SampleFeaturesOptions,
  bytes: number = WEIGHT_BYTES,
): Tensor {
  return rec.noGrad(() => {
    const means = rec.tensor([index.classes, 27 * tapChannels(levels)], 'class_means');
    rec.clear(means);
    let at = 0;
    for (const passes of levels) {
      let firstSample = 0;
      for (const x of passes) {
        const [samples, ...extents] = volumeShape(x, 'classMeans');
        const into = { means, index, at, tapPitch: tapChannels(levels) / 4 };
        const full = sameShape(extents.slice(0, 3), sampling.size);
        if (full) addFullResolution(rec, x, firstSample, into);
        else addResized(rec, x, firstSample, sampling, into, bytes);
        firstSample += samples;
      }
      at += passes[0].pitch / 4;
    }
    return means;
  });
}

/** Where the sums of one level go: from vec4 `at` of each tap on. */
interface MeansPart {
  readonly means: Tensor;
  readonly index: VoxelIndex;
  readonly at: number;
  readonly tapPitch: number;
}

/** A level at the patch's resolution: the masks of the classes correlated with it. */
function addFullResolution(rec: Recording, x: Tensor, firstSample: number, part: MeansPart): void {
  const { codes, classes } = part.index;
  const [samples, d, h, w] = volumeShape(x, 'classMeans');
  const mask = rec.tensor([samples, d, h, w, classes], 'class_mask');
  const count = (rows(mask) * mask.pitch) / 4;
  const begin = firstSample * d * h * w;
  rec.dispatch(classMaskKernel(), { codes, y: mask }, { count, pitch: mask.pitch / 4, begin }, count);
  const sums = correlate3d(rec, mask, x, [3, 3, 3], [1, 1, 1]);
  add(rec, sums, part, { line_rows: 3 * classes, first: 0, classes, flip: 1 });
}

/** A coarser (or finer) level: how much each of its voxels counts in each class at each tap, times its features. */
function addResized(
  rec: Recording,
  x: Tensor,
  firstSample: number,
  { size, alignCorners }: SampleFeaturesOptions,
  part: MeansPart,
  bytes: number,
): void {
  const { codes, classes } = part.index;
  const [samples, ...shape] = volumeShape(x, 'classMeans');
  const extents = shape.slice(0, 3) as unknown as Triple;
  const [d, h, w] = extents;
  const [od, oh, ow] = size;
  const axes = [0, 1, 2].map((a) => axisMap(extents[a], size[a], alignCorners));
  const unit = bindableVoxels(x);
  const alone = product(extents) % unit === 0 && samples * od * h * w * 9 * CLASS_GROUP * 4 > 2 * bytes;
  const together = alone ? 1 : samples;
  for (let sample = 0; sample < samples; sample += together) {
    const begin = (firstSample + sample) * product(size);
    for (let first = 0; first < classes; first += CLASS_GROUP) {
      const group = Math.min(CLASS_GROUP, classes - first);
      const columns = padChannels(3 * group);
      const alongX = rec.tensor([together * od * oh * w, columns], 'class_weights_x');
      const countX = rows(alongX);
      rec.dispatch(
        classWeightsXKernel(first, group),
        { codes, y: alongX },
        { count: countX, begin, w, ow, ...axes[2] },
        countX,
      );
      const alongYx = rec.tensor([together * od * h * w, 3 * columns], 'class_weights_yx');
      along(rec, alongX, alongYx, { outer: 0, u: 0, planes: h }, { inner: w, size: h, out: oh, axis: axes[1] });
      for (const where of zParts(together, d, h * w, h * w * 9 * columns * 4, { unit, bytes })) {
        const { outer, outers, u, planes } = where;
        const weights = rec.tensor([outers * planes * h * w, 9 * columns], 'class_weights');
        along(rec, alongYx, weights, where, { inner: h * w, size: d, out: od, axis: axes[0] });
        const offset = x.offset + ((sample + outer) * d + u) * h * w * x.pitch * elementBytes(x.dtype);
        const features: Tensor = { ...x, shape: [rows(weights), channels(x)], offset };
        const sums = matmul(rec, weights, features, { transposeA: true });
        add(rec, sums, part, { line_rows: columns, first, classes: group, flip: 0 });
      }
    }
  }
}

/** y: the weights in x carried on along one more axis, for planes u.. of that axis and samples (or planes) outer... */
function along(
  rec: Recording,
  x: Tensor,
  y: Tensor,
  { outer, u, planes }: { outer: number; u: number; planes: number },
  { inner, size, out, axis }: { inner: number; size: number; out: number; axis: AxisMap },
): void {
  const columns = x.pitch / 4;
  const tiles = ceilDiv(planes, AXIS_TILE);
  const count = (rows(y) / planes) * tiles * columns;
  const where = { first_outer: outer, first_u: u, planes, tiles };
  rec.dispatch(classWeightsAxisKernel(), { x, y }, { count, ...where, columns, inner, size, out, ...axis }, count);
}

/** So many voxels, whatever their channels, take a multiple of 256 bytes, where views may start. */
const bindableVoxels = ({ dtype }: Tensor): number => 256 / (4 * elementBytes(dtype));

/**
 * Cuts the planes of some samples, `plane` voxels and `planeBytes` of weights each, into parts of at most `bytes`, each of one
 * sample. Views of the features start there, on multiples of `unit` voxels.
 */
function zParts(
  samples: number,
  d: number,
  plane: number,
  planeBytes: number,
  { unit, bytes }: { unit: number; bytes: number },
) {
  const whole = { outer: 0, outers: samples, u: 0, planes: d };
  if (samples * d * planeBytes <= bytes || (samples > 1 && (d * plane) % unit !== 0)) return [whole];
  const step = (unit / greatestCommonDivisor(unit, plane)) * AXIS_TILE;
  const most = Math.max(step, Math.floor(bytes / planeBytes / step) * step);
  const parts: (typeof whole)[] = [];
  for (let outer = 0; outer < samples; outer++) {
    for (let u = 0; u < d; u += most) parts.push({ outer, outers: 1, u, planes: Math.min(most, d - u) });
  }
  return parts;
}

const greatestCommonDivisor = (a: number, b: number): number => (b === 0 ? a : greatestCommonDivisor(b, a % b));

function add(
  rec: Recording,
  sums: Tensor,
  { means, index, at, tapPitch }: MeansPart,
  layout: { line_rows: number; first: number; classes: number; flip: number },
): void {
  const pitch = sums.pitch / 4;
  const count = rows(sums) * pitch;
  const tensors = { x: sums, totals: index.totals, y: means };
  rec.dispatch(addClassMeansKernel(), tensors, { count, pitch, tap_pitch: tapPitch, at, ...layout }, count);
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
