import type { Device } from '../../engine/device.ts';
import { intensity } from '../../engine/ops/intensity.ts';
import type { Recording } from '../../engine/recording.ts';
import type { StepCounters } from '../../engine/step_counters.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { IntensityStream, type IntensityStreamOptions } from '../data/augment_intensity.ts';
import type { StepInput } from './assemble.ts';

/** Changes of intensity as a network's view of a batch of patches has them; geometry stays. */
export interface View extends StepInput {
  /** Appends the changes to the batch. */
  apply(rec: Recording, image: Tensor): Tensor;
}

/** `noise` names the stream of the noise on the device. With strength 0 the view is the image itself. */
export function intensityView(
  device: Device,
  counters: StepCounters,
  options: IntensityStreamOptions & { readonly noise: number },
): View {
  if (options.strength === 0) return { upload: () => undefined, apply: (_, image) => image, destroy: () => undefined };
  const stream = new IntensityStream(device, options);
  return {
    upload: (step) => stream.upload(step),
    apply: (rec, image) =>
      intensity(rec, image, stream.params, counters.tensor, { stream: options.noise, blur: stream.blur }),
    destroy: () => stream.destroy(),
  };
}
