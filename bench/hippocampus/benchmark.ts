/** The jobs of a benchmark one after the other, and the report of what has finished. */
import { join } from 'node:path';
import { Device } from '../../engine/device.ts';
import { dryGpu } from '../../engine/dry_gpu.ts';
import { ActionError } from '../../engine/errors.ts';
import { type Dataset, parseDataset } from '../../runner/data/dataset.ts';
import { directorySource, writeFileAtomic } from '../../runner/host/files.ts';
import { openGpu } from '../../runner/host/node.ts';
import { limitsOf } from '../../runner/host/opened_gpu.ts';
import { STOPPED, stopOnSignal } from '../../runner/host/stop.ts';
import { duration, fixed } from '../../runner/report/format.ts';
import { type Job, jobName, jobsOf, type Scored, scoredCases } from './jobs.ts';
import { type MethodName, type MethodPlan, methodHash, planMethod } from './methods.ts';
import { PYTORCH } from './pytorch.ts';
import type { Recipe } from './recipes.ts';
import { readFinished } from './record.ts';
import { type JobContext, runJob } from './run_job.ts';
import { markdown } from './table.ts';

export interface BenchmarkOptions {
  readonly data: string;
  readonly runs: string;
  readonly recipe: { readonly name: string; readonly constants: Recipe };
  readonly methods: readonly MethodName[];
  readonly labels: readonly number[];
  readonly seeds: readonly number[];
  /** Score on validation cases instead of the test cases. */
  readonly select: boolean;
  readonly gpu: string;
  /** Jobs are not started after this long; one that runs is finished. */
  readonly budgetHours: number;
  readonly quiet?: boolean;
}

/**
 * Runs every job that has not finished. One that fails is reported, and the others go on.
 *
 * @returns 0; 75 where jobs are left because it was stopped or its time was up; else the exit code of the first failure
 */
export async function benchmark(options: BenchmarkOptions): Promise<number> {
  const { data, labels, methods, seeds } = options;
  const dataset = await parseDataset(directorySource(data));
  const scored = scoredCases(data, dataset, labels, options.select);
  const context = { ...options, ...(await plansOf(options, dataset)), dataset, folder: folderOf(options), scored };
  const jobs = jobsOf({ methods, labels, seeds, all: dataset.labelled.length - scored.held.length });
  const started = performance.now();
  const stop = stopOnSignal(() => say(options, 'stopping after the part in hand (once more to quit at once)'));
  let failure = 0;
  try {
    for (const [i, job] of jobs.entries()) {
      const late = performance.now() - started >= options.budgetHours * 3_600_000;
      if (late || stop.signal.aborted) return STOPPED;
      say(options, `${i + 1}/${jobs.length} ${jobName(job)}`);
      const code = await attempt(job, context);
      if (code === STOPPED) return STOPPED;
      failure ||= code;
    }
    return failure;
  } finally {
    stop.dispose();
  }
}

/** @returns the exit code of the job, its failure told */
async function attempt(job: Job, context: JobContext): Promise<number> {
  const started = performance.now();
  try {
    const scores = await runJob(job, context);
    if (!scores) return STOPPED;
    const took = duration((performance.now() - started) / 1000);
    say(context, `${jobName(job)}: Dice ${fixed(scores.foreground_mean.Dice, 4)} (${took})`);
    return 0;
  } catch (failure) {
    const told = failure instanceof ActionError ? failure.message : ((failure as Error).stack ?? String(failure));
    process.stderr.write(`error: ${jobName(job)}: ${told}\n`);
    return failure instanceof ActionError ? failure.exitCode : 1;
  }
}

function say({ quiet }: Pick<BenchmarkOptions, 'quiet'>, sentence: string): void {
  if (!quiet) process.stderr.write(`${sentence}\n`);
}

/** What each method trains, by the recipe, and the name of the adapter. */
async function plansOf({ recipe: { constants }, gpu }: BenchmarkOptions, dataset: Dataset) {
  const opened = await openGpu({ gpu });
  const limits = limitsOf(opened.device.limits) as unknown as GPUSupportedLimits;
  opened.close();
  const dry = new Device(dryGpu(limits), opened);
  const plans = new Map<MethodName, Promise<MethodPlan>>();
  const plan = (name: MethodName) => {
    const found = plans.get(name) ?? planMethod(name, constants, dry, dataset);
    plans.set(name, found);
    return found;
  };
  const hash = (name: MethodName) => methodHash(name, constants);
  return { plan, hash, adapter: `${opened.name} (${opened.backend})` };
}

const folderOf = ({ runs, recipe }: Pick<BenchmarkOptions, 'runs' | 'recipe'>) => join(runs, recipe.name);

export type ReportOptions = Pick<BenchmarkOptions, 'runs' | 'recipe' | 'methods' | 'labels' | 'seeds' | 'select'>;

/** The table of what has finished, also written beside the runs; PyTorch's rows where the test cases are scored. */
export async function report(options: ReportOptions): Promise<string> {
  const { recipe, methods, labels, seeds, select } = options;
  const scored: Scored['name'] = select ? 'validation' : 'test';
  const wanted = ({ method, labelled, seed }: { method: string; labelled: number; seed: number }) =>
    methods.some((name) => name === method) &&
    seeds.includes(seed) &&
    (method === 'fully-supervised' || labels.includes(labelled));
  const runs = (await readFinished(folderOf(options), scored)).filter(wanted);
  const peers = select ? undefined : { name: 'PyTorch', runs: PYTORCH };
  const text = markdown(runs, { title: `Recipe ${recipe.name}, ${scored} cases`, peers });
  const file = join(folderOf(options), `table-${scored}.md`);
  if (runs.length > 0) await writeFileAtomic(file, `${text}\n`, { overwrite: true });
  return text;
}
