import {
  featureCellsKernel,
  featureLinksKernel,
  featureOriginsKernel,
  featureOverlapsKernel,
  featureScatterKernel,
  type Neighbourhood,
  sampleFeaturesKernel,
  UNIFORM_ORIGINS,
} from '../../shaders/sample_features.wgsl.ts';
import { ShapeError } from '../errors.ts';
import type { Recording } from '../recording.ts';
import { ceilDiv, formatShape, product, type Triple } from '../shape.ts';
import { channels, type Tensor, volumeShape } from '../tensor.ts';
import { blocksFor, type PackedOperands } from './matmul_windows.ts';
import { axisMap, resizeParams } from './resize3d.ts';

export interface SampleFeaturesOptions {
  /** Resolution of the points [z, y, x]. */
  readonly size: Triple;
  /** 1: the voxel itself; 3: its 3 x 3 x 3 neighbourhood. */
  readonly neighbourhood: Neighbourhood;
  /** Corner convention of the interpolation, as in resize3d. */
  readonly alignCorners: boolean;
}

/** One level of a feature pyramid in one pass over a part of the samples, and where its channels go. */
interface Source {
  x: Tensor;
  /** The sample of the points that is x's first. */
  firstSample: number;
  /** First vec4 of its channels within a tap. */
  at: number;
  /** The first pass also writes the rows of points that are none. */
  first: boolean;
}

/** Channels of a tap as stored: each level's padded to a multiple of 4. */
export function tapChannels(levels: readonly (readonly Tensor[])[]): number {
  return levels.reduce((sum, [x]) => sum + x.pitch, 0);
}

/**
 * Features at single voxels, without a map at full resolution: each level is interpolated trilinearly to `size` where a point
 * or a tap of its neighbourhood is, and nowhere else; taps outside the volume are zero, as a convolution pads. What one row of
 * im2col over the concatenated, resized levels holds (method.md 9.1.2).
 *
 * The gradient is added into the levels' own, at the voxels that were read: cost of the points, not of the volume.
 *
 * @param levels of each level its passes [N, d, h, w, C], which hold consecutive samples; the same passes on every level
 * @param points dense u32 [Q] of voxels ((n z + z) y + y) x + x at `size`; past the last one for none: a row of zeros
 * @param packed for a result that goes into products with the same `packed` only: it is then written in their blocks, if any
 * @returns [Q, taps * tapChannels(levels)], tap major, z slowest
 */
export function sampleFeatures(
  rec: Recording,
  levels: readonly (readonly Tensor[])[],
  points: Tensor,
  options: SampleFeaturesOptions,
  packed?: PackedOperands,
): Tensor {
  const { neighbourhood } = options;
  if (points.dtype !== 'u32' || points.shape.length !== 1) {
    throw new ShapeError(
      `sampleFeatures: '${points.label}' ${formatShape(points.shape)} ${points.dtype} must be dense u32 of one axis`,
    );
  }
  const sources = sourcesOf(levels);
  const taps = neighbourhood ** 3;
  const tapPitch = tapChannels(levels) / 4;
  const rows = channels(points);
  const y = rec.tensor([rows, taps * tapPitch * 4], 'sampled_features');
  const blocks = packed && blocksFor(rec, y, packed);
  for (const { x, firstSample, at, first } of sources) {
    const [samples, ...from] = volumeShape(x, 'sampleFeatures');
    const count = (rows * x.pitch) / 4;
    rec.dispatch(
      sampleFeaturesKernel(neighbourhood, first, blocks !== undefined),
      { x, points, y: blocks ?? y },
      {
        ...{ count, rows, pitch: x.pitch / 4, first_sample: firstSample, samples, tap_pitch: tapPitch, at },
        ...resizeParams(spatial(from), options.size, options.alignCorners),
      },
      count,
    );
  }
  return rec.node(
    'sample_features',
    sources.map(({ x }) => x),
    y,
    (dy, gradients) => {
      sources.forEach((source, k) => {
        gradients.add(k, (dx) => scatter(rec, source, points, dy, dx, tapPitch, options));
      });
    },
  );
}

/** dx += what dy hands back to the voxels of one level and pass. */
function scatter(
  rec: Recording,
  { x, firstSample, at }: Source,
  points: Tensor,
  dy: Tensor,
  dx: Tensor,
  tapPitch: number,
  { size, neighbourhood, alignCorners }: SampleFeaturesOptions,
): void {
  const [samples, ...extents] = volumeShape(x, 'sampleFeatures');
  const from = spatial(extents);
  const rows = channels(points);
  const resize = resizeParams(from, size, alignCorners);
  const origins = rec.tensor([rows, 4], 'feature_origins', { dtype: 'u32', dense: true });
  const where = { count: rows, first_sample: firstSample, samples };
  rec.dispatch(featureOriginsKernel(neighbourhood), { points, y: origins }, { ...where, ...resize }, rows);

  const cells = ([0, 1, 2] as const).map((a) => cellsRead(from[a], size[a], neighbourhood, alignCorners));
  const cellParams = { cells_z: cells[0], cells_y: cells[1], cells_x: cells[2] };
  const uniform = rec.device.uniformWindows && rows <= UNIFORM_ORIGINS ? rows : 0;
  const words = ceilDiv(rows, 32);
  const overlaps = rec.tensor([rows, words], 'feature_overlaps', { dtype: 'u32', dense: true });
  rec.dispatch(featureOverlapsKernel(uniform), { origins, y: overlaps }, { count: rows * words, rows }, rows * words);

  const entries = rows * product(cells);
  const links = rec.tensor([entries], 'feature_links', { dtype: 'u32', dense: true });
  const linkParams = { count: entries, rows, ...cellParams };
  rec.dispatch(featureLinksKernel(uniform), { origins, overlaps, links }, linkParams, entries);

  const pitch = x.pitch / 4;
  const parts = rec.tensor([entries, x.pitch], 'feature_cells');
  rec.dispatch(
    featureCellsKernel(neighbourhood),
    { points, origins, dy, y: parts },
    { count: rows * pitch, pitch, tap_pitch: tapPitch, at, ...cellParams, ...resize },
    rows * pitch,
  );
  const [d, h, w] = from;
  const count = entries * pitch;
  rec.dispatch(
    featureScatterKernel(channels(x) % 4, uniform),
    { origins, links, parts, dx },
    { count, pitch, d, h, w, ...cellParams },
    count,
  );
}

/** The most voxels along an axis of `from` that a point of `to` and its neighbours read. */
function cellsRead(from: number, to: number, neighbourhood: Neighbourhood, alignCorners: boolean): number {
  const { step, bias, den } = axisMap(from, to, alignCorners);
  const reach = (neighbourhood - 1) / 2;
  const position = (o: number) => Math.min(Math.max(step * o + bias, 0), (from - 1) * den) / den;
  let most = 1;
  for (let o = 0; o < to; o++) {
    const low = Math.floor(position(Math.max(o - reach, 0)));
    const high = Math.ceil(position(Math.min(o + reach, to - 1)));
    most = Math.max(most, high - low + 1);
  }
  return most;
}

function sourcesOf(levels: readonly (readonly Tensor[])[]): Source[] {
  const sources: Source[] = [];
  let at = 0;
  for (const passes of levels) {
    let firstSample = 0;
    passes.forEach((x, k) => {
      if (x.pitch !== passes[0].pitch || passes.length !== levels[0].length || x.shape[0] !== levels[0][k].shape[0]) {
        throw new ShapeError(
          `sampleFeatures: '${x.label}' ${formatShape(x.shape)} does not fit '${levels[0][k]?.label}'; every level needs the same passes, every pass of a level the same channels`,
        );
      }
      sources.push({ x, firstSample, at, first: k === 0 });
      firstSample += x.shape[0];
    });
    at += passes[0].pitch / 4;
  }
  return sources;
}

const spatial = ([d, h, w]: number[]): Triple => [d, h, w];
