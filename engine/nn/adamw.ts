import { adamwKernel } from '../../shaders/adamw.wgsl.ts';
import type { ScalarSlots } from '../step_scalars.ts';
import { gradientOf, type Optimiser, type UpdateOptions, updateRanges } from './optimiser.ts';
import type { Parameters } from './parameters.ts';

export interface AdamWOptions extends UpdateOptions {
  beta1?: number;
  beta2?: number;
  epsilon?: number;
}

export type AdamWScalar = 'learning_rate' | 'adam_correction1' | 'adam_correction2';

/** What AdamW reads of the step scalars beside the rate: the bias corrections 1 - beta^t of update t = 1, 2, ... */
export function adamwScalars(
  t: number,
  { beta1 = 0.9, beta2 = 0.999 }: AdamWOptions = {},
): { adam_correction1: number; adam_correction2: number } {
  return { adam_correction1: 1 - beta1 ** t, adam_correction2: 1 - beta2 ** t };
}

/**
 * torch.optim.AdamW: Adam with decoupled weight decay (Loshchilov and Hutter 2019). Before each step set `learning_rate`
 * and adamwScalars(t). First steps that a loss scale skips count in t, where torch.amp.GradScaler leaves them out: after k of them
 * the next updates are smaller, the first by about sqrt(k + 1).
 */
export function adamw(
  parameters: Parameters,
  scalars: ScalarSlots<AdamWScalar>,
  options: AdamWOptions = {},
): Optimiser {
  const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weightDecay = 0.01 } = options;
  const gradient = gradientOf(parameters, 'adamw');
  const ranges = updateRanges(parameters, options);
  const state = { first: parameters.flatTensor('first moment'), second: parameters.flatTensor('second moment') };
  return {
    state,
    step(rec, clip) {
      for (const { count, decayed, view } of ranges) {
        rec.dispatch(
          adamwKernel({ clip: clip !== undefined }),
          {
            scalars: scalars.tensor,
            gradient: view(gradient),
            values: view(parameters.flat),
            first: view(state.first),
            second: view(state.second),
            ...(clip && { clip }),
          },
          {
            count,
            decayed,
            rate_slot: scalars.index('learning_rate'),
            c1_slot: scalars.index('adam_correction1'),
            c2_slot: scalars.index('adam_correction2'),
            beta1,
            one_minus_beta1: 1 - beta1,
            beta2,
            one_minus_beta2: 1 - beta2,
            epsilon,
            weight_decay: weightDecay,
          },
          count,
        );
      }
    },
    destroy() {
      for (const t of Object.values(state)) parameters.device.destroyTensor(t);
    },
  };
}
