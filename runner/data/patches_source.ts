/** Where on the device the voxels are that patches are cut from. */
import type { Device } from '../../engine/device.ts';
import type { Box, WarpSample } from '../../engine/ops/warp.ts';
import { ceilDiv, product } from '../../engine/shape.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { copyBox, readBox } from './patches_box.ts';
import type { PatchCase } from './voxels.ts';

export interface PatchSourceOptions {
  readonly batch: number;
  /** False: labels are neither read nor uploaded. */
  readonly labelled: boolean;
  /** GPU bytes for whole volumes. */
  readonly volumeBytes: number;
  /** The most voxels that a patch of a case can ask for. */
  largestBox(item: PatchCase): number;
}

/** Where a volume lies: its first value in the tensor of images, its first class in that of labels. */
type Place = WarpSample['at'];

/** Values that go from memory to the device, or from a file into memory, at once. */
const MOST_AT_ONCE = 2 ** 22;

/**
 * The voxels of cases on the device: whole volumes, in the order of the cases, as far as there is room for them, from then
 * on without the host; of the others a box a sample, uploaded before each step.
 */
export class PatchSource {
  /** Dense f32 [n]: a box a sample where boxes are needed, then volumes. */
  readonly image: Tensor;
  /** Dense u32 [m], four classes a word: the same; or null. */
  readonly labels: Tensor | null;
  /** GPU bytes of whole volumes. */
  readonly volumeBytes: number;
  private readonly device: Device;
  private readonly cases: readonly PatchCase[];
  /** Of each case; undefined where boxes are uploaded. */
  private readonly places: readonly (Place | undefined)[];
  /** Voxels between the boxes of two samples, a multiple of 4; 0 where every case is on the device. */
  private readonly boxVoxels: number;
  /** A box on its way to the device. */
  private readonly values: Float32Array<ArrayBuffer>;
  private readonly classes: Uint8Array<ArrayBuffer>;

  /** Allocates, and uploads the volumes that there is room for. Errors: FitError where the boxes exceed the adapter's buffers. */
  constructor(device: Device, cases: readonly PatchCase[], options: PatchSourceOptions) {
    const { batch, labelled } = options;
    const { channels } = cases[0];
    this.device = device;
    this.cases = cases;
    const whole = chooseWhole(device, cases, options);
    const others = cases.filter((_, i) => !whole[i]).map(options.largestBox);
    this.volumeBytes = wholeVolumeBytes(
      cases.filter((_, i) => whole[i]),
      labelled,
    );
    this.boxVoxels = words(Math.max(0, ...others)) * 4;
    let voxels = batch * this.boxVoxels;
    this.places = cases.map(({ shape }, i) => {
      if (!whole[i]) return undefined;
      const place = { image: channels * voxels, labels: voxels };
      voxels += words(product(shape)) * 4;
      return place;
    });
    const dense = { dense: true } as const;
    this.image = device.tensor([channels * voxels], 'patch source', dense);
    this.labels = labelled ? device.tensor([voxels / 4], 'patch source labels', { ...dense, dtype: 'u32' }) : null;
    this.values = new Float32Array(channels * this.boxVoxels);
    this.classes = new Uint8Array(labelled ? this.boxVoxels : 0);
    this.uploadVolumes();
  }

  /** Uploads the volumes once more, whose images have changed. */
  uploadVolumes(): void {
    this.places.forEach((place, i) => {
      if (place) this.uploadVolume(this.cases[i], place);
    });
  }

  /** Makes ready what a sample's patch reads, at least `box` of the volume, and says where that is. */
  provide(index: number, sample: number, box: Box): Pick<WarpSample, 'box' | 'at'> {
    const place = this.places[index];
    const { shape, channels } = this.cases[index];
    if (place) return { box: { origin: [0, 0, 0], extent: shape }, at: place };
    const labels = sample * this.boxVoxels;
    const at = { image: channels * labels, labels };
    this.uploadBox(this.cases[index], box, at);
    return { box, at };
  }

  destroy(): void {
    this.device.destroyTensor(this.image);
    if (this.labels) this.device.destroyTensor(this.labels);
  }

  private uploadVolume(item: PatchCase, at: Place): void {
    const { image } = item;
    for (let from = 0; from < image.length; from += MOST_AT_ONCE) {
      const to = Math.min(image.length, from + MOST_AT_ONCE);
      if (image instanceof Float32Array) this.writeImage(at.image + from, image.subarray(from, to));
      else {
        const part = new Float32Array(to - from);
        image.read(from, part);
        this.writeImage(at.image + from, part);
      }
    }
    if (!this.labels || !item.label) return;
    const padded = new Uint8Array(words(item.label.length) * 4);
    padded.set(item.label);
    this.writeLabels(at.labels, padded, item.label.length);
  }

  private uploadBox(item: PatchCase, box: Box, at: Place): void {
    const { channels, shape, image } = item;
    const voxels = product(box.extent);
    for (let c = 0; c < channels; c++) {
      const [from, to] = [c * product(shape), c * voxels];
      if (image instanceof Float32Array) copyBox(image, from, shape, box, this.values, to);
      else readBox(image, from, shape, box, this.values, to);
    }
    this.writeImage(at.image, this.values.subarray(0, channels * voxels));
    if (!this.labels || !item.label) return;
    copyBox(item.label, 0, shape, box, this.classes, 0);
    this.writeLabels(at.labels, this.classes, voxels);
  }

  private writeImage(at: number, values: Float32Array<ArrayBuffer>): void {
    this.device.writeStored(this.image, values, 4 * at);
  }

  private writeLabels(at: number, classes: Uint8Array<ArrayBuffer>, voxels: number): void {
    this.device.writeStored(this.labels as Tensor, new Uint32Array(classes.buffer, 0, words(voxels)), at);
  }
}

/** GPU bytes of whole volumes. */
export function wholeVolumeBytes(cases: readonly Pick<PatchCase, 'shape' | 'channels'>[], labelled: boolean): number {
  const bytes = cases.map(({ shape, channels }) => words(product(shape)) * (16 * channels + (labelled ? 4 : 0)));
  return bytes.reduce((sum, n) => sum + n, 0);
}

/** Which volumes are on the device as a whole: each in turn while it fits room and buffers beside the boxes of the others. */
function chooseWhole(device: Device, cases: readonly PatchCase[], options: PatchSourceOptions): boolean[] {
  const { batch, labelled, volumeBytes: room, largestBox } = options;
  const { maxBufferSize, maxStorageBufferBindingSize } = device.limits;
  const limit = Math.min(maxBufferSize, maxStorageBufferBindingSize);
  const imageBytes = (voxels: number) => 4 * cases[0].channels * voxels;
  const all = wholeVolumeBytes(cases, labelled) <= room && wholeVolumeBytes(cases, false) <= limit;
  const boxes = all ? 0 : batch * words(Math.max(...cases.map(largestBox))) * 4;
  let [held, voxels] = [0, boxes];
  return cases.map((item) => {
    const more = words(product(item.shape)) * 4;
    const fits = held + wholeVolumeBytes([item], labelled) <= room && imageBytes(voxels + more) <= limit;
    if (!fits) return false;
    held += wholeVolumeBytes([item], labelled);
    voxels += more;
    return true;
  });
}

/** Words that hold so many classes. */
const words = (voxels: number): number => ceilDiv(voxels, 4);
