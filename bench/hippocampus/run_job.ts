/** Trains, predicts and scores one job in its folder, taking over what is there. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ActionError, UsageError } from '../../engine/errors.ts';
import { evaluateFolders } from '../../runner/commands/evaluate_folders.ts';
import { predict } from '../../runner/commands/predict.ts';
import { train } from '../../runner/commands/train.ts';
import type { Dataset } from '../../runner/data/dataset.ts';
import { exists, writeFileAtomic } from '../../runner/host/files.ts';
import { STOPPED } from '../../runner/host/stop.ts';
import type { Summary } from '../../runner/predict/evaluate_cases.ts';
import { RUN_FILES } from '../../runner/train/run_store.ts';
import { Clock, NOTHING } from './clock.ts';
import { type Job, jobName, type Scored } from './jobs.ts';
import type { MethodName, MethodPlan } from './methods.ts';
import { readRecord, summaryFile } from './record.ts';

export interface JobContext {
  readonly data: string;
  readonly dataset: Dataset;
  /** Folder of the jobs' folders. */
  readonly folder: string;
  readonly scored: Scored;
  readonly gpu: string;
  /** Name of what `gpu` opens. */
  readonly adapter: string;
  /** Of the method, and what it will compute, both by the recipe. */
  readonly hash: (method: MethodName) => Promise<string>;
  readonly plan: (method: MethodName) => Promise<MethodPlan>;
  readonly quiet?: boolean;
}

/**
 * @returns its scores, or undefined where it was asked to stop
 * @throws what went wrong; UsageError where the folder holds a run of another configuration
 */
export async function runJob(job: Job, context: JobContext): Promise<Summary | undefined> {
  const { data, scored, gpu, quiet } = context;
  const run = join(context.folder, jobName(job));
  const summary = join(run, summaryFile(scored.name));
  const there = await readRecord(run);
  const hash = await context.hash(job.method);
  if (there && there.hash !== hash) {
    throw new UsageError(
      `${run} was made by other constants (${there.hash} there, ${hash} now); give another --runs, or remove the folder`,
    );
  }
  if (await exists(summary)) return JSON.parse(await readFile(summary, 'utf8'));
  const { config, steps, gflop } = await context.plan(job.method);
  const fresh = { ...job, hash, steps, gflop, adapter: '', training: NOTHING, prediction: {}, date: '' };
  const clock = new Clock(run, there ?? fresh);
  if (!(await exists(join(run, RUN_FILES.weights)))) {
    const labelled = await labelledCases(run, job, context);
    const set = Object.entries({ ...config, seed: job.seed }).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
    const from = await startOf(job, context);
    const options = { output: run, labelled, set, gpu, quiet, ...(from && { from }) };
    const code = await clock.training(context.adapter, () => train(data, options));
    if (code === STOPPED) return undefined;
  }
  const output = join(run, scored.name);
  const code = await clock.prediction(scored.name, () =>
    predict(run, scored.images, { output, continue: true, gpu, quiet: true }),
  );
  if (code === STOPPED) return undefined;
  if (code !== 0)
    throw new ActionError(`${output} lacks predictions for the reasons above; mend them, start again`, code);
  const scores = await evaluateFolders(output, scored.references, { partial: scored.name === 'validation' });
  await writeFileAtomic(summary, `${JSON.stringify(scores, null, 2)}\n`);
  return scores;
}

/** The run that a job goes on from. Errors: UsageError where it has not been finished. */
async function startOf(job: Job, { folder }: JobContext): Promise<string | undefined> {
  if (job.method !== 'action-volumes') return undefined;
  const run = join(folder, jobName({ ...job, method: 'action' }));
  if (await exists(join(run, RUN_FILES.weights))) return run;
  throw new UsageError(`action-volumes goes on from ${run}, which is not finished; add action to --methods`);
}

/** How many of the first, or for full supervision without the held cases a list of the others. */
async function labelledCases(run: string, job: Job, { dataset, scored }: JobContext): Promise<number | string> {
  if (job.method !== 'fully-supervised' || scored.held.length === 0) return job.labelled;
  const ids = dataset.labelled.map(({ id }) => id).filter((id) => !scored.held.includes(id));
  const list = join(run, 'labelled.txt');
  await writeFileAtomic(list, `${ids.join('\n')}\n`, { overwrite: true });
  return list;
}
