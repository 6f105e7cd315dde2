import { type CheckReport, describeParts } from './check.ts';
import { count } from './check_volume.ts';
import { KINDS, type Problem } from './problem.ts';

/** More problems of one kind than this become one line. */
const MOST_LINES = 5;
const EXAMPLES = 3;

/** A report as lines: what the data set is, its errors, its warnings, a count. */
export function checkText(report: CheckReport): string[] {
  const { dataset, problems, errors, files } = report;
  const lines: string[] = [];
  if (dataset) {
    lines.push(`${dataset.name} (${dataset.layout}): ${describeParts(dataset)}`);
    lines.push(
      `${count(dataset.channels.length, 'channel')}: ${dataset.channels.map((channel) => channel.name).join(', ')}`,
      `${count(dataset.labels.length, 'label')}: ${dataset.labels.map((label) => `${label.value} ${label.name}`).join(', ')}`,
    );
  }
  const groups = group(problems);
  for (const members of groups) lines.push(...groupLines(members));
  const kinds = groups.filter(([first]) => first.severity === 'warning').length;
  const found = [
    ...(errors > 0 ? [count(errors, 'error')] : []),
    ...(kinds > 0 ? [`${count(kinds, 'kind')} of warning`] : []),
  ];
  lines.push(`${found.join(', ') || 'No problem'} in ${count(files, 'volume')}`);
  return lines;
}

function group(problems: readonly Problem[]): Problem[][] {
  const groups = new Map<string, Problem[]>();
  for (const problem of problems) {
    // Header warnings belong together when they differ in numbers only.
    const sentence = problem.kind === 'header' ? afterFile(problem).replace(/[\d.]+/g, '#') : '';
    const key = `${problem.severity} ${problem.kind} ${sentence}`;
    groups.set(key, [...(groups.get(key) ?? []), problem]);
  }
  return [...groups.values()];
}

function groupLines(members: Problem[]): string[] {
  const [first] = members;
  const tag = first.severity === 'error' ? ' ERROR' : ' WARN ';
  if (members.length <= MOST_LINES) return members.map((problem) => `${tag} ${problem.message}`);
  const what = first.kind === 'header' ? afterFile(first) : KINDS[first.kind];
  const examples = members.slice(0, EXAMPLES).map((problem) => problem.file);
  return [
    `${tag} ${members.length} files: ${what} (${examples.join(', ')} and ${members.length - EXAMPLES} more; --json lists all)`,
  ];
}

function afterFile({ file, message }: Problem): string {
  return message.startsWith(`${file}: `) ? message.slice(file.length + 2) : message;
}
