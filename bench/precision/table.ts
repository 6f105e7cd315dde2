/** How closely trainings of the same cases in other precisions follow the one in float32. */

import { table } from '../../runner/report/table.ts';
import type { Precision } from '../../runner/train/config.ts';

/** What one training went through, as far as it came. */
export interface PrecisionRun {
  readonly precision: Precision;
  /** Of each step. */
  readonly losses: readonly number[];
  /** Steps that the loss scale let fall out; 0 where nothing is scaled. */
  readonly skipped: number;
}

/** Steps between two losses that are shown, and at the end the steps whose mean is. */
const EVERY = 25;
const LAST = 20;

const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
const shown = (value: number) => value.toPrecision(4);

/** A column for each run, the first being the one that the others are compared with, by the steps that both made. */
export function precisionTable(runs: readonly PrecisionRun[]): string {
  const [full] = runs;
  const difference = ({ losses }: PrecisionRun) => {
    const both = losses.slice(0, full.losses.length);
    const each = both.map((loss, step) => Math.abs(loss - full.losses[step]) / Math.abs(full.losses[step]));
    return `${shown(100 * mean(each))} %`;
  };
  const row = (name: string, cell: (run: PrecisionRun) => string) => [
    name,
    ...runs.map((run) => (run.losses.length > 0 ? cell(run) : '-')),
  ];
  const steps = full.losses.map((_, step) => step).filter((step) => step % EVERY === 0);
  return table([
    ['loss at step', ...runs.map(({ precision }) => precision)],
    ...steps.map((step) => row(`${step}`, ({ losses }) => (step < losses.length ? shown(losses[step]) : '-'))),
    [],
    row(`mean of the last ${LAST}`, ({ losses }) => shown(mean(losses.slice(-LAST)))),
    row(`mean difference to ${full.precision}`, (run) => (run === full ? '-' : difference(run))),
    row('steps skipped', ({ skipped }) => `${skipped}`),
  ]);
}
