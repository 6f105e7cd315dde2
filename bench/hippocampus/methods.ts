/** The methods compared: what each is as a configuration, and what its training computes. */
import type { Device } from '../../engine/device.ts';
import type { Dataset } from '../../runner/data/dataset.ts';
import { configHash, mergeConfig, type TrainConfigInput, trainConfig } from '../../runner/train/config.ts';
import { ABLATION_NAMES, type Ablation } from '../../runner/train/config_action.ts';
import { forecastTraining } from '../../runner/train/forecast.ts';
import type { Recipe } from './recipes.ts';

const MAIN = [
  'supervised',
  'fully-supervised',
  'mean-teacher',
  'action',
  'action-volumes',
  'supervised-equal-compute',
  'cps',
  'ua-mt',
] as const;

export type MethodName = (typeof MAIN)[number] | `action-without-${Ablation}`;

/** In the order they are run: the cheap before the dear, the ablations last. */
export const METHOD_NAMES: readonly MethodName[] = [
  ...MAIN,
  ...ABLATION_NAMES.map((name) => `action-without-${name}` as const),
];

/**
 * The cycles of 'action-volumes' go on from a finished 'action'. Without stage 1, stage 2 has the steps of 1b too, so that labelled patches are seen as often (PyTorch's --nostage1).
 */
export function configOf(name: MethodName, recipe: Recipe): TrainConfigInput {
  const { every, oneStage, baselines = {}, action, volumes } = recipe;
  if (name === 'action-volumes') {
    const { augmentation } = volumes;
    const stage2 = { ...action.stage2, ...volumes.stage2, pseudo: 'volume' };
    const own = { ...(augmentation && { augmentation }), action: { ...action, stages: ['2'], stage2 } };
    return mergeConfig({ ...every, method: 'action', preset: 'small' }, own) as TrainConfigInput;
  }
  const ablation = ABLATION_NAMES.find((each) => name === `action-without-${each}`);
  if (name === 'action' || ablation) {
    const longer = { stage2: { steps: action.stage1b.steps + action.stage2.steps } };
    return {
      ...every,
      ...{ method: 'action', preset: 'small', ...(ablation && { without: [ablation] }) },
      action: ablation === 'stage1' ? (mergeConfig(action, longer) as typeof action) : action,
    };
  }
  const common = mergeConfig(every, oneStage) as TrainConfigInput;
  if (name !== 'mean-teacher' && name !== 'ua-mt' && name !== 'cps') return { ...common, method: 'supervised' };
  return { ...(mergeConfig(common, baselines[name]) as TrainConfigInput), method: name };
}

/** Hash of all that a method's training is made of but cases and seed: equal hashes, comparable runs. */
export function methodHash(name: MethodName, recipe: Recipe): Promise<string> {
  const onAction = name === 'supervised-equal-compute' || name === 'action-volumes';
  const names: MethodName[] = onAction ? [name, 'action'] : [name];
  return configHash(names.map((each) => trainConfig(configOf(each, recipe))));
}

export interface MethodPlan {
  readonly config: TrainConfigInput;
  /** Of the whole training, with those of the ACTION that it goes on from. */
  readonly steps: number;
  /** Operations of the network's convolutions over the whole training, in predictions of whole volumes left out. */
  readonly gflop: number;
}

/** Steps of `perStep` operations each that come nearest to `total`. */
export function equalComputeSteps(total: number, perStep: number): number {
  return Math.max(1, Math.round(total / perStep));
}

/**
 * Forecasts a whole training on a device that allocates nothing (dryGpu).
 *
 * @throws UsageError for a recipe that the method cannot be trained with
 */
export async function planMethod(
  name: MethodName,
  recipe: Recipe,
  dry: Device,
  dataset: Pick<Dataset, 'channels' | 'labels'>,
): Promise<MethodPlan> {
  const forecast = async (config: TrainConfigInput): Promise<MethodPlan> => {
    const complete = trainConfig(config);
    const some = [{ shape: complete.patch, spacing: [1, 1, 1] as const }];
    const grids = { labelled: some, unlabelled: some, validation: [] };
    const { stages } = await forecastTraining(dry, complete, dataset, grids, 0);
    const steps = stages.reduce((sum, stage) => sum + stage.steps, 0);
    return { config, steps, gflop: stages.reduce((sum, stage) => sum + stage.steps * stage.flops, 0) / 1e9 };
  };
  const own = await forecast(configOf(name, recipe));
  if (name !== 'supervised-equal-compute' && name !== 'action-volumes') return own;
  const { gflop, steps } = await forecast(configOf('action', recipe));
  if (name === 'action-volumes') return { ...own, steps: steps + own.steps, gflop: gflop + own.gflop };
  return forecast({ ...own.config, steps: equalComputeSteps(gflop, own.gflop / own.steps) });
}
