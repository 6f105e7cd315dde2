import type { Device } from './device.ts';
import type { Tensor } from './tensor.ts';

/**
 * The counters that random kernels (dropout, augmentation) start from: dense u32 [seed, step]. With a stream number of
 * the op's own they name every draw of a run, so exact resume needs these two words only. Bind as `array<u32>`.
 */
export interface StepCounters {
  /** [2], dense u32. */
  readonly tensor: Tensor;
  /** Uploads the step that is submitted next. */
  setStep(step: number): void;
}

export function createStepCounters(device: Device, seed: number, step = 0): StepCounters {
  const tensor = device.tensor([2], 'step counters', { dtype: 'u32', dense: true });
  const setStep = (at: number) => device.writeStored(tensor, Uint32Array.of(seed, at));
  setStep(step);
  return { tensor, setStep };
}
