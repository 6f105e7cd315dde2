import { sgdKernel } from '../../shaders/sgd.wgsl.ts';
import { UsageError } from '../errors.ts';
import type { ScalarSlots } from '../step_scalars.ts';
import { decayedUnits, gradientOf, type Optimiser, type WeightDecay } from './optimiser.ts';
import type { Parameters } from './parameters.ts';

export interface SgdOptions extends WeightDecay {
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
  const { momentum = 0, nesterov = false, weightDecay = 0, decayVectors = true } = options;
  if (nesterov && momentum === 0) {
    throw new UsageError(
      "sgd: 'nesterov' needs a momentum above 0, got 0; set momentum (0.9 is usual) or nesterov false",
    );
  }
  const gradient = gradientOf(parameters, 'sgd');
  const { count, decayed } = decayedUnits(parameters, decayVectors);
  const velocity = momentum === 0 ? undefined : parameters.flatTensor('velocity');
  return {
    state: velocity ? { velocity } : {},
    step(rec, clip) {
      rec.dispatch(
        sgdKernel({ momentum: momentum !== 0, nesterov, clip: clip !== undefined }),
        {
          scalars: scalars.tensor,
          gradient,
          values: parameters.flat,
          ...(velocity && { velocity }),
          ...(clip && { norm: clip.norm }),
        },
        {
          count,
          decayed,
          rate_slot: scalars.index('learning_rate'),
          momentum,
          weight_decay: weightDecay,
          max_norm: clip?.maxNorm ?? 0,
        },
        count,
      );
    },
    destroy() {
      if (velocity) parameters.device.destroyTensor(velocity);
    },
  };
}
