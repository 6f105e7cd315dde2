import { LEAST_SCALE, lossScaleKernel, MOST_SCALE } from '../../shaders/loss_scale.wgsl.ts';
import type { Device } from '../device.ts';
import { DataError, UsageError } from '../errors.ts';
import type { Recording } from '../recording.ts';
import type { Tensor } from '../tensor.ts';
import type { ParameterValues } from './parameters.ts';
import type { StatePart } from './state.ts';

export interface LossScaleOptions {
  /** A power of two from 1 to 2^24, so that scaling by itself changes no bit of an update. Default 2^16, as in PyTorch. */
  readonly initial?: number;
  /**
   * Steps without overflow after which the scale is doubled. Default 200, where PyTorch has 2000: a stage has some hundred steps
   * here, within which the scale has to follow gradients that get smaller. It costs one skipped step in 201 at most.
   */
  readonly growthInterval?: number;
}

/**
 * What a loss is multiplied by before its gradients are taken, so that they survive products of float16, and what their overflow
 * does to it: torch.amp.GradScaler, wholly on the device. A part of a training's state, named 'loss_scale'.
 */
export interface LossScale extends StatePart {
  /** [1]: the scale, what backward starts from. */
  readonly scale: Tensor;
  /** [2]: steps skipped for overflow so far, steps since the scale last changed. */
  readonly steps: Tensor;
  readonly growthInterval: number;
  destroy(): void;
}

/** Errors: UsageError for an initial scale that is no power of two in [1, 2^24], or an interval that is no positive integer. */
export function createLossScale(device: Device, options: LossScaleOptions = {}): LossScale {
  const { initial = 2 ** 16, growthInterval = 200 } = options;
  if (!Number.isInteger(Math.log2(initial)) || initial < LEAST_SCALE || initial > MOST_SCALE) {
    throw new UsageError(`the loss scale cannot start at ${initial}; use a power of two from 1 to ${MOST_SCALE}`);
  }
  if (!Number.isInteger(growthInterval) || growthInterval < 1) {
    throw new UsageError(`the loss scale cannot grow every ${growthInterval} steps; use a positive integer`);
  }
  const scale = device.tensor([1], 'loss scale', { data: [initial] });
  const steps = device.tensor([2], 'loss scale steps');
  const one = (value: number) => ({ shape: [1], data: Float32Array.of(value) });
  return {
    ...{ name: 'loss_scale', scale, steps, growthInterval },
    async save() {
      const [skipped, good] = await device.read(steps);
      return new Map(
        Object.entries({ scale: one((await device.read(scale))[0]), skipped: one(skipped), good: one(good) }),
      );
    },
    load(values) {
      const [saved, skipped, good] = ['scale', 'skipped', 'good'].map((key) => numberOf(values, key));
      device.write(scale, [saved]);
      device.write(steps, [skipped, good]);
    },
    destroy() {
      for (const t of [scale, steps]) device.destroyTensor(t);
    },
  };
}

/**
 * Appends the judgement of a step whose backward started from the scale: of the norms [1] of scaled gradients it makes what
 * optimisers take, [2] each: the norm without the scale, before clipping, and one factor that clips to `maxNorm` (0 for never)
 * and takes the scale off. Where a norm is not finite the factors are 0, so that no optimiser changes a bit, the norms read 0 and
 * the scale is halved; at scale 1 that is no overflow of scaling, and the norms read as they are, NaN or infinite.
 */
export function unscaledClips(
  rec: Recording,
  lossScale: LossScale,
  norms: readonly Tensor[],
  maxNorm: number,
): Tensor[] {
  const { scale, steps, growthInterval } = lossScale;
  const clips = norms.map(() => rec.tensor([2], 'gradient norm, unscaled'));
  const pairs = norms.flatMap((norm, i): [string, Tensor][] => [
    [`norm${i}`, norm],
    [`clip${i}`, clips[i]],
  ]);
  const params = { interval: growthInterval, max_norm: maxNorm };
  rec.dispatch(lossScaleKernel(norms.length), { scale, steps, ...Object.fromEntries(pairs) }, params, 1);
  return clips;
}

function numberOf(values: ParameterValues, key: string): number {
  const found = values.get(key)?.data;
  if (found?.length === 1) return found[0];
  throw new DataError(`the loss scale saved has no '${key}'; use the checkpoint of a run with precision matrix`);
}
