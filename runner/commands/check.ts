import { checkDataset } from '../data/check.ts';
import { checkText } from '../data/check_text.ts';
import { directorySource } from '../host/files.ts';

export interface CheckCommandOptions {
  /** One JSON value with every problem instead of lines for people. */
  readonly json?: boolean;
}

/** Reads every file of a data set and prints every problem. @returns the exit code: 4 where there are errors. */
export async function check(directory: string, options: CheckCommandOptions = {}): Promise<number> {
  const progress = process.stderr.isTTY && !options.json;
  const report = await checkDataset(directorySource(directory), {
    onFile: (done, total) => {
      if (progress && (done % 20 === 0 || done === total)) process.stderr.write(`\r${done}/${total} volumes`);
    },
  });
  if (progress) process.stderr.write('\r\u001b[K');
  if (options.json) {
    const { dataset, ...rest } = report;
    const ids = (cases: readonly { id: string }[] = []) => cases.map((item) => item.id);
    const summary = dataset && {
      name: dataset.name,
      layout: dataset.layout,
      channels: dataset.channels,
      labels: dataset.labels,
      labelsMap: Object.fromEntries(dataset.labelsMap),
      labelled: ids(dataset.labelled),
      unlabelled: ids(dataset.unlabelled),
      validation: ids(dataset.validation),
      test: ids(dataset.test),
    };
    process.stdout.write(`${JSON.stringify({ ...rest, dataset: summary }, null, 2)}\n`);
  } else {
    process.stdout.write(`${checkText(report).join('\n')}\n`);
  }
  return report.errors > 0 ? 4 : 0;
}
