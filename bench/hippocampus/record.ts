/** What a job leaves in its folder beside the run's own files: job.json, and a summary for each set of cases it was scored on. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { exists, writeFileAtomic } from '../../runner/host/files.ts';
import { foregroundDice, type Summary } from '../../runner/predict/evaluate_cases.ts';
import { caseName } from '../../runner/report/summary.ts';
import type { Job, Scored } from './jobs.ts';
import type { Run } from './scores.ts';

/** Wall seconds, and CPU seconds of the whole process, summed over the starts that were needed. */
export interface Seconds {
  readonly wall: number;
  readonly cpu: number;
}

export interface JobRecord extends Job {
  /** `methodHash` of what it was trained as. */
  readonly hash: string;
  readonly steps: number;
  readonly gflop: number;
  readonly adapter: string;
  readonly training: Seconds;
  /** Of prediction, by set of cases. */
  readonly prediction: Readonly<Partial<Record<Scored['name'], Seconds>>>;
  /** Day of the last work, as 2026-01-31. */
  readonly date: string;
}

const RECORD = 'job.json';

export const summaryFile = (name: Scored['name']) => (name === 'test' ? 'summary.json' : `summary-${name}.json`);

export async function readRecord(folder: string): Promise<JobRecord | undefined> {
  const file = join(folder, RECORD);
  return (await exists(file)) ? JSON.parse(await readFile(file, 'utf8')) : undefined;
}

export async function writeRecord(folder: string, record: JobRecord): Promise<void> {
  await writeFileAtomic(join(folder, RECORD), `${JSON.stringify(record, null, 2)}\n`, { overwrite: true });
}

export interface Finished extends Run, Pick<JobRecord, 'adapter' | 'date'> {}

/** Every job under `folder` that was scored on these cases, by name. */
export async function readFinished(folder: string, scored: Scored['name']): Promise<Finished[]> {
  const finished: Finished[] = [];
  for (const name of (await exists(folder)) ? (await readdir(folder)).sort() : []) {
    const record = await readRecord(join(folder, name));
    const file = join(folder, name, summaryFile(scored));
    if (!record || !(await exists(file))) continue;
    const summary: Summary = JSON.parse(await readFile(file, 'utf8'));
    const { method, labelled, seed, gflop, adapter, date, training } = record;
    finished.push({
      ...{ method, labelled, seed, gflop, adapter, date },
      ...{ cpuSeconds: training.cpu, wallSeconds: training.wall },
      scores: summary.foreground_mean,
      cases: Object.fromEntries(
        summary.metric_per_case.map((item) => [caseName(item.prediction_file), foregroundDice(item)]),
      ),
    });
  }
  return finished;
}
