import { sgdKernel } from '../../shaders/sgd.wgsl.ts';
import { UsageError } from '../errors.ts';
import type { ScalarSlots } from '../step_scalars.ts';
import { gradientOf, type Optimiser, type UpdateOptions, updateRanges } from './optimiser.ts';
import type { Parameters } from './parameters.ts';

export interface SgdOptions extends UpdateOptions {
  /** 0 by default: no velocity is kept. */
  momentum?: number;
  nesterov?: boolean;
}

/**
 * torch.optim.SGD, dampening 0: the first step's velocity is the gradient. The rate is step scalar `learning_rate`.
 * Errors: UsageError for Nesterov without momentum.
 */
export function sgd(
  parameters: Parameters,
  scalars: ScalarSlots<'learning_rate'>,
  options: SgdOptions = {},
): Optimiser {
  const { momentum = 0, nesterov = false, weightDecay = 0 } = options;
  if (nesterov && momentum === 0) {
    throw new UsageError(
      "sgd: 'nesterov' needs a momentum above 0, got 0; set momentum (0.9 is usual) or nesterov false",
    );
  }
  const gradient = gradientOf(parameters, 'sgd');
  const ranges = updateRanges(parameters, options);
  const velocity = momentum === 0 ? undefined : parameters.flatTensor('velocity');
  return {
    state: velocity ? { velocity } : {},
    step(rec, clip) {
      for (const { count, decayed, view } of ranges) {
        rec.dispatch(
          sgdKernel({ momentum: momentum !== 0, nesterov, clip: clip !== undefined }),
          {
            scalars: scalars.tensor,
            gradient: view(gradient),
            values: view(parameters.flat),
            ...(velocity && { velocity: view(velocity) }),
            ...(clip && { clip }),
          },
          {
            count,
            decayed,
            rate_slot: scalars.index('learning_rate'),
            momentum,
            weight_decay: weightDecay,
          },
          count,
        );
      }
    },
    destroy() {
      if (velocity) parameters.device.destroyTensor(velocity);
    },
  };
}
