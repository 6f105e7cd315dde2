/** Times of now beside those that an earlier `bench kernels --json` printed. */
import * as v from 'valibot';
import { DataError, UsageError } from '../../engine/errors.ts';
import { percent, significant } from '../report/format.ts';
import { type KernelRow, rowName } from './kernels.ts';

const Baseline = v.object({
  place: v.object({ adapter: v.string(), backend: v.string() }),
  rows: v.array(
    v.object({
      op: v.string(),
      name: v.string(),
      size: v.string(),
      pass: v.string(),
      timing: v.nullable(v.object({ ms: v.number() })),
    }),
  ),
});
export type Baseline = v.InferOutput<typeof Baseline>;

export interface BaselineRow {
  /** As rowName() gives it. */
  readonly row: string;
  readonly ms: number;
  readonly baselineMs: number;
  /** Time now over time then, less one: 0.1 is a tenth slower. */
  readonly change: number;
  readonly regressed: boolean;
}

/** Errors: DataError for what `bench kernels --json` did not print. */
export function parseBaseline(value: unknown, file: string): Baseline {
  const result = v.safeParse(Baseline, value);
  if (result.success) return result.output;
  const path = v.getDotPath(result.issues[0]) ?? 'the top level';
  throw new DataError(
    `${file} is no baseline: ${path} is ${result.issues[0].received}, expected ${result.issues[0].expected}; make one with bench kernels --json > ${file}`,
  );
}

/** Errors: UsageError for the baseline of another adapter, whose times say nothing about this one's. */
export function requireSameAdapter({ place: then }: Baseline, now: Baseline['place'], file: string): void {
  if (then.adapter === now.adapter && then.backend === now.backend) return;
  throw new UsageError(
    `${file} was measured on ${then.adapter} (${then.backend}) and this is ${now.adapter} (${now.backend}); make a baseline here with bench kernels --json > FILE`,
  );
}

/**
 * Rows of the same op, name, pass and size, where both were timed; a row has regressed where it takes more than
 * (1 + maxRegress) of the baseline's time. Errors: UsageError where the baseline has none of the rows.
 */
export function compareBaseline(
  rows: readonly KernelRow[],
  baseline: Baseline,
  maxRegress: number,
  file: string,
): BaselineRow[] {
  const known = new Map(baseline.rows.map((row) => [`${rowName(row)} ${row.size}`, row.timing?.ms]));
  const compared = rows.flatMap((row) => {
    const baselineMs = known.get(`${rowName(row)} ${row.size}`);
    if (!baselineMs || !row.timing) return [];
    const { ms } = row.timing;
    const regressed = ms > baselineMs * (1 + maxRegress);
    return [{ row: rowName(row), ms, baselineMs, change: ms / baselineMs - 1, regressed }];
  });
  if (compared.length > 0 || rows.every(({ timing }) => !timing)) return compared;
  throw new UsageError(`${file} has none of the kernels that were timed now; give the same --ops and --shapes`);
}

/** Rows of the baseline, as rowName() gives them, that nothing was timed for now. */
export function notTimedNow(rows: readonly KernelRow[], baseline: Baseline): string[] {
  const now = new Set(rows.filter(({ timing }) => timing).map((row) => `${rowName(row)} ${row.size}`));
  return baseline.rows.filter((row) => row.timing && !now.has(`${rowName(row)} ${row.size}`)).map(rowName);
}

/** What is wrong, a clause each: kernels that are, and kernels that became slower. */
export function failures(rows: readonly KernelRow[], compared: readonly BaselineRow[], maxRegress: number): string[] {
  const wrong = rows
    .filter(({ check }) => !check.ok)
    .map(
      (row) =>
        `${rowName(row)} is wrong: ${row.check.tensor} is off by ${row.check.error.toExponential(1)} where ${row.check.tolerance.toExponential(1)} is allowed`,
    );
  const slower = compared
    .filter(({ regressed }) => regressed)
    .map(
      ({ row, ms, baselineMs, change }) =>
        `${row} takes ${significant(ms, 3)} ms instead of ${significant(baselineMs, 3)}, ${percent(change)} more (--max-regress ${percent(maxRegress)})`,
    );
  return [...wrong, ...slower];
}
