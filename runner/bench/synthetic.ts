/** Cases that exist in memory only, for steps that are timed and not learned from. */
import { product, type Triple } from '../../engine/shape.ts';
import type { Prepared } from '../data/preprocess.ts';
import type { ConfigOf, TrainConfig } from '../train/config.ts';
import { type Method, type Precision, trainConfig } from '../train/config.ts';
import { noise } from './samples.ts';

/** Noise in which the middle half of each axis is class 1, and brighter. */
export function syntheticCase(shape: Triple, seed: number, labelled: boolean): Prepared {
  const voxels = product(shape);
  const image = noise(voxels, seed);
  const label = new Uint8Array(voxels);
  const inside = (i: number, n: number) => i >= n / 4 && i < (3 * n) / 4;
  for (let z = 0, i = 0; z < shape[0]; z++)
    for (let y = 0; y < shape[1]; y++)
      for (let x = 0; x < shape[2]; x++, i++) {
        if (!inside(z, shape[0]) || !inside(y, shape[1]) || !inside(x, shape[2])) continue;
        label[i] = 1;
        image[i] += 2;
      }
  return {
    ...{ id: `noise ${seed}`, channels: 1, shape, spacing: [1, 1, 1], image, constantChannels: [] },
    label: labelled ? label : null,
  };
}

/** Classes of a synthetic case. */
export const CLASSES = 2;

export interface StepShape {
  readonly patch: Triple;
  readonly batch: number;
  /** Of each level. */
  readonly channels: readonly number[];
  readonly precision?: Precision;
}

/** So many that no schedule ends while it is timed. */
const STEPS = 100_000;

/**
 * A method's usual configuration for these sizes. Of ACTION, pooling and bins shrink where a patch is too small for the
 * preset's, and the banks start filled, so that every step is a whole one.
 *
 * @throws UsageError for what the method cannot run with
 */
export function stepConfig(method: Method, { patch, batch, channels, precision }: StepShape): TrainConfig {
  const common = { method, patch, batch, precision, steps: STEPS, network: { channels } };
  if (method !== 'action') return trainConfig(common, `bench step, ${method},`);
  const preset = (trainConfig({ method }) as ConfigOf<'action'>).action;
  const bottleneck = patch.map((n) => Math.max(1, Math.floor(n / 2 ** (channels.length - 1))));
  const wanted = preset.global.bins;
  const bins = bottleneck.map((n, a) => Math.min(n, typeof wanted === 'number' ? wanted : wanted[a]));
  const least = Math.min(...patch);
  const [pool, window] = [preset.local.pool, preset.local.window].map((n) =>
    typeof n === 'number' ? n : Math.max(...n),
  );
  const action = {
    global: { bankStart: 'gaussian', bins },
    local: { bankStart: 'gaussian', pool: Math.max(1, Math.min(pool, Math.floor(least / window))) },
    // a patch alone has none to be mixed with
    ...(batch === 1 && { stage2: { mixing: 'none' as const } }),
  };
  return trainConfig({ ...common, action }, `bench step, ${method},`);
}
