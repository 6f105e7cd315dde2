import type { Device } from '../../engine/device.ts';
import { FitError } from '../../engine/errors.ts';
import type { Parameters } from '../../engine/nn/parameters.ts';
import type { Unet3d } from '../../engine/nn/unet3d.ts';
import { softmax } from '../../engine/ops/softmax.ts';
import { Program } from '../../engine/program.ts';
import { Recording } from '../../engine/recording.ts';
import { ceilDiv, padChannels, type Triple } from '../../engine/shape.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { accumulateWindowKernel, cropWindowKernel, finishWindowKernel } from '../../shaders/window.wgsl.ts';
import { windowPositions } from './window_positions.ts';

export interface SlidingWindowOptions {
  /** Share of a window that its neighbour covers too, 0 to below 1. Default 0.5. */
  overlap?: number;
  /** Average over all 8 mirrorings. Default false. */
  tta?: boolean;
  /** Windows in one pass of the network. Default 1. */
  batch?: number;
  /** Also return class probabilities. */
  probabilities?: boolean;
  /** Called with the share of windows done, 0 to 1. */
  onProgress?: (share: number) => void;
  signal?: AbortSignal;
}

export interface WindowedPrediction {
  /** Class of every voxel, [z, y, x], x fastest. */
  labels: Uint8Array;
  /** Planar [classes, z, y, x], when asked for. */
  probabilities?: Float32Array;
}

/** Gaussian weight of a window: sigma as a share of its extent; chosen, twice the 1/8 of nnU-Net (Isensee et al. 2021). */
const SIGMA = 0.25;
/** Passes of the network between two waits for the device. */
const IN_FLIGHT = 4;

/**
 * Segments a preprocessed volume (planar [C, z, y, x]) of any size window by window: softmax, Gaussian weight, sums and
 * argmax stay on the GPU. Volumes whose sums would not fit one binding are done in slabs along z. Errors: FitError when
 * even one slice does not fit.
 */
export async function slidingWindow(
  device: Device,
  network: Unet3d,
  parameters: Parameters,
  volume: { data: Float32Array; shape: Triple; channels: number },
  patch: Triple,
  options: SlidingWindowOptions = {},
): Promise<WindowedPrediction> {
  const { overlap = 0.5, tta = false, batch = 1, onProgress, signal } = options;
  const [depth, height, width] = volume.shape;
  const { classes } = network.settings;
  const slice = height * width;
  const windows = windowPositions(volume.shape, patch, overlap);
  const slabs = slabsOf(device, network, volume, patch).map(({ first, size }) => {
    const inside = windows.filter(([z]) => z < first + size && z + patch[0] > first);
    return { first, size, windows: inside };
  });
  const flips = tta ? [0, 1, 2, 3, 4, 5, 6, 7] : [0];
  const total = slabs.reduce((sum, slab) => sum + slab.windows.length, 0) * flips.length;

  const labels = new Uint8Array(depth * slice);
  const probabilities = options.probabilities ? new Float32Array(classes * depth * slice) : undefined;
  let done = 0;
  for (const slab of slabs) {
    const jobs = slab.windows.flatMap((at) => flips.map((flags) => [...at, flags]));
    const session = await Session.open(device, network, parameters, volume, patch, slab, Math.min(batch, jobs.length));
    try {
      for (let from = 0; from < jobs.length; from += session.batch) {
        signal?.throwIfAborted();
        const some = jobs.slice(from, from + session.batch);
        session.run(some);
        done += some.length;
        if ((from / session.batch) % IN_FLIGHT === IN_FLIGHT - 1) await device.idle();
        onProgress?.(done / total);
      }
      labels.set(await session.labels(), slab.first * slice);
      if (probabilities) {
        const part = await session.probabilities();
        for (let c = 0; c < classes; c++) {
          const from = c * slab.size * slice;
          probabilities.set(part.subarray(from, from + slab.size * slice), c * depth * slice + slab.first * slice);
        }
      }
    } finally {
      session.destroy();
    }
  }
  return { labels, probabilities };
}

/**
 * GPU bytes that slidingWindow takes at most for a volume, in passes of one window, counted by allocating them on a device of a
 * dryGpu. Errors as there.
 */
export async function slidingWindowBytes(
  dry: Device,
  network: Unet3d,
  parameters: Parameters,
  volume: { shape: Triple; channels: number },
  patch: Triple,
  { probabilities = false }: Pick<SlidingWindowOptions, 'probabilities'> = {},
): Promise<number> {
  const before = dry.bytesHeld;
  const empty = { ...volume, data: new Float32Array(0) };
  let most = 0;
  for (const slab of slabsOf(dry, network, volume, patch)) {
    const session = await Session.open(dry, network, parameters, empty, patch, slab, 1);
    const { program, bytes } = await session.finishing(probabilities);
    most = Math.max(most, dry.bytesHeld - before + bytes);
    program.destroy();
    session.destroy();
  }
  return most;
}

/** A volume's slabs along z, the fewest that the device's buffers allow. */
function slabsOf(
  device: Device,
  { settings }: Unet3d,
  { shape: [depth, height, width], channels }: { shape: Triple; channels: number },
  patch: Triple,
): Slab[] {
  const slabDepth = Math.min(depth, slabLimit(device, height * width, settings.classes, channels, patch[0]));
  return Array.from({ length: ceilDiv(depth, slabDepth) }, (_, i) => {
    const first = i * slabDepth;
    return { first, size: Math.min(slabDepth, depth - first) };
  });
}

/** Slices whose sums, and whose image with a window's reach around it, fit one binding each. */
function slabLimit(device: Device, slice: number, classes: number, channels: number, patchDepth: number): number {
  const limit = Math.min(device.limits.maxStorageBufferBindingSize, device.limits.maxBufferSize);
  const bySums = Math.floor(limit / (slice * padChannels(classes) * 4));
  const byImage = Math.floor(limit / (slice * channels * 4)) - 2 * patchDepth;
  const fits = Math.min(bySums, byImage);
  if (fits >= 1) return fits;
  throw new FitError(
    `a slice of ${slice} voxels with ${classes} classes needs more than the ${limit} bytes that this adapter allows in one buffer; use a GPU with larger bindings`,
  );
}

interface Slab {
  first: number;
  size: number;
}

/** The device memory and programs of one slab. */
class Session {
  readonly batch: number;
  private readonly device: Device;
  private readonly image: Tensor;
  private readonly windows: Tensor;
  private readonly sums: Tensor;
  private readonly program: Program;
  private readonly classes: number;
  private readonly voxels: number;
  /** First slice of the uploaded part of the volume. */
  private readonly origin: number;

  private constructor(
    device: Device,
    batch: number,
    buffers: { image: Tensor; windows: Tensor; sums: Tensor },
    program: Program,
    sizes: { classes: number; voxels: number; origin: number },
  ) {
    this.device = device;
    this.batch = batch;
    this.image = buffers.image;
    this.windows = buffers.windows;
    this.sums = buffers.sums;
    this.program = program;
    this.classes = sizes.classes;
    this.voxels = sizes.voxels;
    this.origin = sizes.origin;
  }

  static async open(
    device: Device,
    network: Unet3d,
    parameters: Parameters,
    volume: { data: Float32Array; shape: Triple; channels: number },
    patch: Triple,
    slab: Slab,
    batch: number,
  ): Promise<Session> {
    const [depth, height, width] = volume.shape;
    const { channels } = volume;
    const { classes } = network.settings;
    const origin = Math.max(0, slab.first - patch[0]);
    const extent = Math.min(depth, slab.first + slab.size + patch[0]) - origin;
    const slice = height * width;
    const image = device.tensor([channels, extent, height, width], 'volume', { dense: true });
    for (let c = 0; c < channels; c++) {
      const from = (c * depth + origin) * slice;
      const part = new Float32Array(volume.data.subarray(from, from + extent * slice));
      device.writeStored(image, part, c * extent * slice * 4);
    }
    const windows = device.tensor([batch, 4], 'windows', { dtype: 'u32', dense: true });
    const sums = device.tensor([slab.size, height, width, classes], 'class sums');

    const rec = new Recording(device, 'sliding window');
    const x = rec.tensor([batch, ...patch, channels], 'window');
    const geometry = { patch_z: patch[0], patch_y: patch[1], patch_x: patch[2], height, width };
    const c4 = padChannels(channels) / 4;
    const voxels = patch[0] * patch[1] * patch[2];
    const cropped = batch * voxels * c4;
    rec.dispatch(
      cropWindowKernel(),
      { volume: image, windows, y: x },
      { ...geometry, count: cropped, channels, depth: extent },
      cropped,
    );
    const { logits } = rec.noGrad(() => network.forward(rec, parameters, x, { training: false }));
    const probabilities = softmax(rec, rec.detach(logits));
    const count = voxels * (padChannels(classes) / 4);
    for (let index = 0; index < batch; index++) {
      rec.dispatch(
        accumulateWindowKernel(),
        { probabilities, windows, sums },
        {
          ...geometry,
          count,
          index,
          c4: padChannels(classes) / 4,
          first: slab.first - origin,
          depth: slab.size,
          sigma: SIGMA,
        },
        count,
      );
    }
    const program = await Program.create(rec);
    return new Session(device, batch, { image, windows, sums }, program, {
      classes,
      voxels: slab.size * slice,
      origin,
    });
  }

  /** Adds up to `batch` windows [z, y, x, mirror flags]; places left over are put where they touch nothing. */
  run(jobs: readonly (readonly number[])[]): void {
    const rows = new Int32Array(this.batch * 4).fill(-(2 ** 20));
    jobs.forEach(([z, y, x, flags], i) => {
      rows.set([z - this.origin, y, x, flags], i * 4);
    });
    this.device.writeStored(this.windows, new Uint32Array(rows.buffer));
    this.program.run();
  }

  async labels(): Promise<Uint8Array> {
    const y = await this.finish(false);
    return new Uint8Array(y).subarray(0, this.voxels);
  }

  async probabilities(): Promise<Float32Array> {
    return new Float32Array(await this.finish(true));
  }

  /** What turns sums into labels, four a word, or probabilities, and the bytes of `y`, as many of which are read back. */
  async finishing(probabilities: boolean): Promise<{ program: Program; y: Tensor; bytes: number }> {
    const rec = new Recording(this.device, 'finish sliding window');
    const count = probabilities ? this.voxels : ceilDiv(this.voxels, 4);
    const shape = [probabilities ? this.classes * this.voxels : count];
    const y = rec.keep(rec.tensor(shape, 'result', { dtype: probabilities ? 'f32' : 'u32', dense: true }));
    const params = { count, voxels: this.voxels, classes: this.classes, c4: padChannels(this.classes) / 4 };
    rec.dispatch(finishWindowKernel(probabilities), { sums: this.sums, y }, params, count);
    return { program: await Program.create(rec), y, bytes: shape[0] * 4 };
  }

  private async finish(probabilities: boolean): Promise<ArrayBuffer> {
    const { program, y, bytes } = await this.finishing(probabilities);
    try {
      program.run();
      return await this.device.readBuffer(program.bufferOf(y), 0, bytes);
    } finally {
      program.destroy();
    }
  }

  destroy(): void {
    this.program.destroy();
    for (const t of [this.image, this.windows, this.sums]) this.device.destroyTensor(t);
  }
}
