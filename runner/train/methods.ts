import { UsageError } from '../../engine/errors.ts';
import { createStage1a, createStage1b, createStage2Trainer } from './action_stages.ts';
import { createCpsTrainer, createMeanTeacherTrainer, createUaMtTrainer } from './baselines.ts';
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
  const { method, steps } = config;
  const groups = { student: ['student'], ...(method !== 'supervised' && { teacher: ['teacher', 'student'] }) };
  return [{ name: method, steps, predicts: true, takesOver: groups, create: (input) => createOnly(config, input) }];
}

/** The one stage of a method that has one. */
function createOnly(config: Exclude<TrainConfig, ConfigOf<'action'>>, input: Omit<StageInput, 'config'>) {
  if (config.method === 'mean-teacher') return createMeanTeacherTrainer({ ...input, config });
  if (config.method === 'ua-mt') return createUaMtTrainer({ ...input, config });
  if (config.method === 'cps') return createCpsTrainer({ ...input, config });
  return createSupervised({ ...input, config });
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
