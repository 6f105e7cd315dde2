import type { Device } from '../../engine/device.ts';
import { DataError } from '../../engine/errors.ts';
import { controlShape, packWarp, WARP_PARAMS, type WarpSource } from '../../engine/ops/warp.ts';
import type { Stream } from '../../engine/random.ts';
import type { Triple } from '../../engine/shape.ts';
import { storedElements, type Tensor } from '../../engine/tensor.ts';
import { drawTransform, largestReach, type PatchTransform, type SpatialAugmentation } from './augment.ts';
import { batchStream, sampleStream } from './augment_streams.ts';
import { largestBox, sourceBox } from './patches_box.ts';
import { foregroundVoxels } from './patches_foreground.ts';
import { PatchSource } from './patches_source.ts';
import type { PatchCase } from './voxels.ts';

export interface PatchOptions {
  /** Voxels along [z, y, x]. */
  readonly patch: Triple;
  readonly batch: number;
  readonly seed: number;
  /** One of HOST_STREAMS. */
  readonly stream: number;
  readonly augmentation: SpatialAugmentation;
  /** False: labels are neither read nor uploaded, not even where a case has one. */
  readonly labelled: boolean;
  /** Probability that a patch is centred on a random voxel of a random foreground class. Default 0. */
  readonly foregroundProbability?: number;
  /** GPU bytes for whole volumes, whose patches then cost the host nothing. Default 0: each step uploads what its patches read. */
  readonly volumeBytes?: number;
}

/** One sample of a batch as drawn. */
export interface PatchDraw extends PatchTransform {
  /** Position in the list of cases. */
  readonly case: number;
  /** Centre of the patch in voxels of the prepared volume, not in general whole. */
  readonly centre: Triple;
}

/**
 * Feeds `warp` with the patches of a training step. What is drawn is a function of (seed, stream, step, sample) alone; the
 * cases of a batch differ while there are enough of them, batches are independent of each other.
 */
export class PatchStream {
  /** For `warp(rec, stream.source, stream.geometry)`. */
  readonly source: WarpSource;
  readonly geometry: { readonly batch: number; readonly channels: number; readonly patch: Triple };
  /** GPU bytes of whole volumes. */
  readonly volumeBytes: number;
  private readonly device: Device;
  private readonly cases: readonly PatchCase[];
  private readonly options: PatchOptions;
  /** Of each case; empty where nothing is centred on the foreground. */
  private readonly foreground: readonly Uint32Array[][];
  private readonly voxels: PatchSource;
  private readonly params: Uint32Array<ArrayBuffer>;

  /**
   * Uploads whole volumes and allocates room for the largest boxes that the other cases can ask for. @throws DataError for no
   * case at all, cases of different channels or without a label where one is needed; FitError where the boxes exceed the
   * adapter's buffers.
   */
  constructor(device: Device, cases: readonly PatchCase[], options: PatchOptions) {
    checkCases(cases, options.labelled);
    const { patch, batch, augmentation, labelled } = options;
    const { channels } = cases[0];
    this.device = device;
    this.cases = cases;
    this.options = options;
    this.geometry = { batch, channels, patch };
    const centred = labelled && (options.foregroundProbability ?? 0) > 0;
    this.foreground = cases.map((item) => (centred && item.label ? foregroundVoxels(item.label) : []));
    const { elastic } = augmentation;
    this.voxels = new PatchSource(device, cases, {
      ...{ batch, labelled, volumeBytes: options.volumeBytes ?? 0 },
      largestBox: ({ shape, spacing }) => largestBox(largestReach(augmentation, patch, spacing), shape),
    });
    this.volumeBytes = this.voxels.volumeBytes;
    this.source = {
      ...{ image: this.voxels.image, labels: this.voxels.labels },
      params: device.tensor([batch, WARP_PARAMS], 'patch params', { dense: true, dtype: 'u32' }),
      ...(elastic && {
        elastic: {
          control: device.tensor([batch, ...controlShape(patch, elastic.spacing), 3], 'patch control points'),
          spacing: elastic.spacing,
        },
      }),
    };
    this.params = new Uint32Array(batch * WARP_PARAMS);
  }

  /** What the step's batch will be. */
  draw(step: number): PatchDraw[] {
    const { batch, seed, stream, augmentation, patch } = this.options;
    const chosen = drawCases(batchStream(seed, stream, step), this.cases.length, batch);
    return chosen.map((index, sample) => {
      const draws = sampleStream(seed, stream, step, sample);
      const centre = this.drawCentre(draws, index);
      return { case: index, centre, ...drawTransform(draws, augmentation, patch, this.cases[index].spacing) };
    });
  }

  /** Draws a step's batch and uploads what of it is not on the device. Call before the step is submitted. */
  upload(step: number): PatchDraw[] {
    const draws = this.draw(step);
    draws.forEach((draw, sample) => {
      const { shape } = this.cases[draw.case];
      const box = sourceBox(draw, draw.centre, this.options.patch, shape);
      packWarp(this.params, sample, {
        matrix: draw.matrix,
        centre: draw.centre,
        volume: shape,
        ...this.voxels.provide(draw.case, sample, box),
        elastic: !!draw.control,
      });
      if (draw.control && this.source.elastic) this.writeControl(this.source.elastic.control, sample, draw.control);
    });
    this.device.writeStored(this.source.params, this.params);
    return draws;
  }

  /** To be called where the images of the cases have changed. */
  uploadVolumes(): void {
    this.voxels.uploadVolumes();
  }

  destroy(): void {
    const { params, elastic } = this.source;
    this.voxels.destroy();
    for (const t of [params, elastic?.control]) if (t) this.device.destroyTensor(t);
  }

  private writeControl(t: Tensor, sample: number, values: Float32Array<ArrayBuffer>): void {
    this.device.writeStored(t, values, (sample * storedElements(t) * 4) / t.shape[0]);
  }

  /** Uniform within (S - P + 2) / 2 of the middle of each axis, S = max(volume, patch); or a foreground voxel in there. */
  private drawCentre(stream: Stream, index: number): Triple {
    const { patch, foregroundProbability = 0 } = this.options;
    const { shape } = this.cases[index];
    const middle = shape.map((n) => (n - 1) / 2);
    const span = shape.map((n, axis) => Math.max(n, patch[axis]) - patch[axis] + 2);
    const classes = this.foreground[index];
    if (classes.length === 0 || stream.uniform() >= foregroundProbability) {
      return middle.map((m, axis) => m + (stream.uniform() - 0.5) * span[axis]) as unknown as Triple;
    }
    const voxels = classes[stream.integer(classes.length)];
    const voxel = voxels[stream.integer(voxels.length)];
    const row = Math.floor(voxel / shape[2]);
    const at = [Math.floor(row / shape[1]), row % shape[1], voxel % shape[2]];
    return at.map((v, axis) =>
      Math.min(Math.max(v, middle[axis] - span[axis] / 2), middle[axis] + span[axis] / 2),
    ) as unknown as Triple;
  }
}

/** `batch` of `cases`, none twice before all have been taken. */
function drawCases(stream: Stream, cases: number, batch: number): number[] {
  const chosen: number[] = [];
  while (chosen.length < batch) chosen.push(...stream.permutation(cases).slice(0, batch - chosen.length));
  return chosen;
}

function checkCases(cases: readonly PatchCase[], labelled: boolean): void {
  if (cases.length === 0) {
    throw new DataError(`there is no ${labelled ? 'labelled' : 'unlabelled'} case to draw patches from; add one`);
  }
  const [first] = cases;
  cases.forEach((item, i) => {
    const name = item.id ?? `number ${i + 1}`;
    if (item.channels !== first.channels) {
      throw new DataError(
        `case ${name} has ${item.channels} channels but case ${first.id ?? 'number 1'} has ${first.channels}; all cases need the same`,
      );
    }
    if (labelled && !item.label) throw new DataError(`case ${name} has no label; give one or list it as unlabelled`);
  });
}
