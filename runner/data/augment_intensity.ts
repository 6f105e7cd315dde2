import type { Device } from '../../engine/device.ts';
import { INTENSITY_PARAMS, type IntensitySample, packIntensity } from '../../engine/ops/intensity.ts';
import type { Stream } from '../../engine/random.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { sampleStream } from './augment_streams.ts';

/** Ranges at strength 1, for images of mean 0 and standard deviation 1; a strength multiplies all but the blur's. */
const CONTRAST = 0.2;
const BRIGHTNESS = 0.2;
const LOG_GAMMA = 0.35;
const NOISE = 0.15;
const SIGMA: readonly [number, number] = [0.4, 1.15];

/**
 * What one sample gets. With strength k: contrast and brightness uniform within 0.2 k either way, always; with probability
 * 1/2 each a gamma of exp(uniform within 0.35 k), for k > 1 a blur of sigma 0.4 to 1.15 voxels, and noise of standard
 * deviation 0 to 0.15 k. k = 1 is the usual view, 1.5 the strong one of a student; 0 changes nothing.
 */
export function drawIntensity(stream: Stream, strength: number): IntensitySample {
  if (strength === 0) return { contrast: 0, brightness: 0, gamma: 0, sigma: 0, noise: 0 };
  const within = (limit: number) => stream.uniform(-limit * strength, limit * strength);
  const half = () => stream.uniform() < 0.5;
  return {
    contrast: within(CONTRAST),
    brightness: within(BRIGHTNESS),
    gamma: half() ? Math.exp(within(LOG_GAMMA)) : 0,
    sigma: strength > 1 && half() ? stream.uniform(...SIGMA) : 0,
    noise: half() ? stream.uniform(0, NOISE * strength) : 0,
  };
}

export interface IntensityStreamOptions {
  readonly batch: number;
  readonly seed: number;
  /** One of HOST_STREAMS. */
  readonly stream: number;
  readonly strength: number;
}

/** Feeds `intensity` with the params of a training step: a function of (seed, stream, step, sample) alone. */
export class IntensityStream {
  /** For `intensity(rec, image, stream.params, ...)`. */
  readonly params: Tensor;
  /** Whether any step blurs: the `blur` option of `intensity`. */
  readonly blur: boolean;
  private readonly device: Device;
  private readonly options: IntensityStreamOptions;
  private readonly rows: Float32Array<ArrayBuffer>;

  constructor(device: Device, options: IntensityStreamOptions) {
    this.device = device;
    this.options = options;
    this.blur = options.strength > 1;
    this.params = device.tensor([options.batch, INTENSITY_PARAMS], 'intensity params', { dense: true });
    this.rows = new Float32Array(options.batch * INTENSITY_PARAMS);
  }

  /** What the step's batch will get. */
  draw(step: number): IntensitySample[] {
    const { batch, seed, stream, strength } = this.options;
    return Array.from({ length: batch }, (_, b) => drawIntensity(sampleStream(seed, stream, step, b), strength));
  }

  /** Draws and uploads. Call before the step is submitted. */
  upload(step: number): IntensitySample[] {
    const samples = this.draw(step);
    for (const [b, sample] of samples.entries()) packIntensity(this.rows, b, sample);
    this.device.writeStored(this.params, this.rows);
    return samples;
  }

  destroy(): void {
    this.device.destroyTensor(this.params);
  }
}
