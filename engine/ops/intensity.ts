import {
  INTENSITY_VEC4S,
  intensityBlurKernel,
  intensityFinishKernel,
  intensityMergeKernel,
  intensityMomentsKernel,
  intensityPointsKernel,
  MOMENTS,
} from '../../shaders/intensity.wgsl.ts';
import { ShapeError } from '../errors.ts';
import type { Recording } from '../recording.ts';
import { ceilDiv, formatShape } from '../shape.ts';
import { channels, type Tensor, vec4s, volumeShape } from '../tensor.ts';
import { chunkPass, type Extents, extents, FAN } from './norm_extents.ts';

/** Floats of a sample's row in the params tensor. */
export const INTENSITY_PARAMS = 4 * INTENSITY_VEC4S;

/** What is done to one sample; 0 leaves a part out. */
export interface IntensitySample {
  /** x (1 + contrast) + brightness. */
  readonly contrast: number;
  readonly brightness: number;
  /** Exponent of the values between their smallest and largest; mean and standard deviation are restored after it. */
  readonly gamma: number;
  /** Standard deviation of a Gaussian blur, in voxels. */
  readonly sigma: number;
  /** Standard deviation of additive normal noise. */
  readonly noise: number;
}

/** Writes a sample's row of the params tensor. */
export function packIntensity(params: Float32Array, row: number, sample: IntensitySample): void {
  const { contrast, brightness, gamma, noise, sigma } = sample;
  params.set([contrast, brightness, gamma, noise, sigma, 0, 0, 0], row * INTENSITY_PARAMS);
}

export interface IntensityOptions {
  /** Names this call's noise: a number no other random op of the step uses. */
  stream: number;
  /** False leaves the blur's passes out of the recording, whatever the params say. Default true. */
  blur?: boolean;
}

/**
 * Contrast, brightness, gamma, blur (radius 3, edges repeated) and noise, in this order, each as the sample's row says.
 * Image [B, D, H, W, C]; params dense f32 [B, 8] packed by packIntensity; counters dense u32 [seed, step], both uploaded
 * before each step. Gamma works per sample and channel. Backward: none, nothing before it is learned.
 */
export function intensity(
  rec: Recording,
  image: Tensor,
  params: Tensor,
  counters: Tensor,
  { stream, blur = true }: IntensityOptions,
): Tensor {
  const [batch, d, h, w] = volumeShape(image, 'intensity');
  if (params.shape[0] !== batch || params.shape[1] !== INTENSITY_PARAMS) {
    throw new ShapeError(
      `intensity: params '${params.label}' ${formatShape(params.shape)} must be [${batch}, ${INTENSITY_PARAMS}], a row for each sample of '${image.label}'`,
    );
  }
  const e = extents(rec.device, image, batch, 1);
  const whole = { count: vec4s(image), voxels: e.voxels, pitch: e.pitch, channels: channels(image), stream };

  const before = momentsOf(rec, image, params, e);
  const after = momentsOf(rec, image, params, e, before);
  let y = rec.like(image, 'intensity');
  const noise = { counters };
  rec.dispatch(
    intensityPointsKernel(!blur),
    { x: image, params, before, after, y, ...(!blur && noise) },
    whole,
    whole.count,
  );
  if (!blur) return y;
  for (const [extent, stride, last] of [
    [d, h * w * e.pitch, false],
    [h, w * e.pitch, false],
    [w, e.pitch, true],
  ] as const) {
    const blurred = rec.like(image, 'intensity_blur');
    const tensors = { x: y, params, y: blurred, ...(last && noise) };
    rec.dispatch(intensityBlurKernel(last), tensors, { ...whole, extent, stride }, whole.count);
    y = blurred;
  }
  return y;
}

/** Mean, sum of squared deviations, count, smallest and largest of each sample and channel: [B, 5, C]. */
function momentsOf(rec: Recording, x: Tensor, params: Tensor, e: Extents, before?: Tensor): Tensor {
  const { samples, pitch } = e;
  let moments = rec.tensor([samples * e.chunks * MOMENTS, e.channels], 'intensity_moments');
  const pass = chunkPass(e);
  const tensors = { x, params, moments, ...(before && { before }) };
  const kernel = intensityMomentsKernel({ power: !!before, trees: e.trees });
  rec.dispatch(kernel, tensors, { ...pass.params, channels: e.channels }, pass.work);
  if (e.trees && e.chunks > 1) {
    const y = rec.tensor([samples * MOMENTS, e.channels], 'intensity_moments');
    rec.dispatch(intensityFinishKernel(), { x: moments, y }, { pitch, chunks: e.chunks }, [pitch, samples, 1]);
    return y;
  }
  for (let chunks = e.chunks; chunks > 1; ) {
    const merged = ceilDiv(chunks, FAN);
    const y = rec.tensor([samples * merged * MOMENTS, e.channels], 'intensity_moments');
    const count = samples * merged * pitch;
    rec.dispatch(intensityMergeKernel(), { x: moments, y }, { count, pitch, chunks, merged, fan: FAN }, count);
    moments = y;
    chunks = merged;
  }
  return moments;
}
