import { UsageError } from '../../engine/errors.ts';
import { createStage1a, createStage1b, createStage2Trainer } from './action_stages.ts';
import type { ConfigOf, TrainConfig } from './config.ts';
import { type ActionStage, stageSteps } from './config_action.ts';
import type { Stage, StageInput } from './stage.ts';
import { createSupervised } from './supervised.ts';
import type { Trainer } from './trainer.ts';

/** Whether a method learns from unlabelled cases. */
export function usesUnlabelled({ method }: Pick<TrainConfig, 'method'>): boolean {
  return method !== 'supervised';
}

/** The stages of a run, in their order. */
export function stagesOf(config: TrainConfig): readonly Stage[] {
  if (config.method === 'action') return actionStages(config);
  return [
    {
      ...{ name: config.method, steps: config.steps, predicts: true, takesOver: { student: ['student'] } },
      create: (input) => createSupervised({ ...input, config }),
    },
  ];
}

function actionStages(config: ConfigOf<'action'>): Stage[] {
  const create: Record<ActionStage, (input: StageInput<ConfigOf<'action'>>) => Promise<Trainer>> = {
    '1a': createStage1a,
    '1b': createStage1b,
    '2': createStage2Trainer,
  };
  const heads = {
    projectors: ['projectors'],
    predictors: ['predictors'],
    'teacher.projectors': ['teacher.projectors'],
  };
  const distillation = { student: ['student'], teacher: ['teacher', 'student'], ...heads };
  const fromEma = config.action.stage2.teacherStart === 'ema';
  const takesOver: Record<ActionStage, Stage['takesOver']> = {
    '1a': distillation,
    '1b': distillation,
    '2': { student: ['student'], teacher: fromEma ? ['teacher', 'student'] : ['student'] },
  };
  return stageSteps(config.action).map(({ stage, steps }) => ({
    ...{ name: stage, steps, predicts: stage !== '1a', takesOver: takesOver[stage] },
    create: (input) => create[stage]({ ...input, config }),
  }));
}

/** Errors: UsageError for a method that needs unlabelled cases where there are none. */
export function assertUnlabelled(config: Pick<TrainConfig, 'method'>, unlabelled: number): void {
  if (!usesUnlabelled(config) || unlabelled > 0) return;
  throw new UsageError(
    `method ${config.method} learns from unlabelled cases, but there are 0; add images without labels (imagesUn/), keep labels back with --labelled, or use --method supervised`,
  );
}
