/** `action3d evaluate PRED_DIR LABEL_DIR`: scores predictions, prints a table or JSON, writes `summary.json`. */
import { CheckError, UsageError } from '../../engine/errors.ts';
import { assertWritable, writeFileAtomic } from '../host/files.ts';
import type { Summary } from '../predict/evaluate_cases.ts';
import type { DistanceUnit } from '../predict/metrics.ts';
import { fixed } from '../report/format.ts';
import { summaryText } from '../report/summary.ts';
import { evaluateFolders } from './evaluate_folders.ts';

export interface EvaluateOptions {
  /** Where to write the summary as JSON; a file that exists is kept unless `force` is set. */
  output?: string;
  force?: boolean;
  /** What distances are measured in. Default `mm`. */
  units?: DistanceUnit;
  /** Print the summary as one JSON value instead of the table. */
  json?: boolean;
  /** Score the cases that have been predicted and leave the other references alone. */
  partial?: boolean;
  /** Fail (exit 8) where the foreground mean Dice is lower, after everything is printed and written. */
  minDice?: number;
}

/**
 * Returns exit code 0.
 *
 * @throws UsageError for options that cannot be and an output that exists or cannot be written, DataError for what is wrong
 * with the files, FitError where the disk is full, CheckError below `minDice`
 */
export async function evaluate(
  predictionFolder: string,
  labelFolder: string,
  options: EvaluateOptions = {},
): Promise<number> {
  const { output, force = false, units = 'mm', json = false, partial, minDice } = options;
  if (units !== 'mm' && units !== 'voxel') throw new UsageError(`--units is mm or voxel, not ${units}`);
  if (minDice !== undefined && !(minDice >= 0 && minDice <= 1)) {
    throw new UsageError(`--min-dice is a number from 0 to 1, not ${minDice}`);
  }
  if (output !== undefined) await assertWritable(output, { overwrite: force });
  const progress = process.stderr.isTTY && !json;
  const summary = await evaluateFolders(predictionFolder, labelFolder, {
    units,
    partial,
    onCase: (done, total) => {
      if (progress) process.stderr.write(`\r${done}/${total} cases`);
    },
  });
  if (progress) process.stderr.write('\r\u001b[K');
  const text = `${JSON.stringify(summary, null, 2)}\n`;
  // the table even where the file cannot be written; JSON only then, so that stdout holds one value
  if (!json) await print(`${summaryText(summary)}\n`);
  if (output !== undefined) await writeFileAtomic(output, text, { overwrite: force });
  if (json) await print(text);
  requireDice(summary, minDice);
  return 0;
}

function requireDice({ foreground_mean }: Summary, minDice: number | undefined): void {
  if (minDice === undefined || foreground_mean.Dice >= minDice) return;
  throw new CheckError(
    `the foreground mean Dice ${fixed(foreground_mean.Dice, 4)} is below the ${minDice} asked for by --min-dice`,
  );
}

/** Resolves once the text has left the process, so that ending it right after loses nothing. */
function print(text: string): Promise<void> {
  return new Promise((resolve) => {
    process.stdout.write(text, () => resolve());
  });
}
