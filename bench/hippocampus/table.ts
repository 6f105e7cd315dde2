/** Finished runs as Markdown: one table for each number of labelled cases. */
import { count, fixed, percent, significant } from '../../runner/report/format.ts';
import { METHOD_NAMES } from './methods.ts';
import type { Finished } from './record.ts';
import { gapClosed, margin, mean, type Run, sd } from './scores.ts';

const COLUMNS = [
  ...['method', 'seeds', 'Dice', 'sd', 'Jaccard', 'HD95', 'ASD', 'ASSD'],
  ...['over supervised', 'wins', 'gap closed', 'GFLOP', 'CPU h', 'wall h'],
];

const LEGEND =
  'Means over the seeds of foreground means over the cases, distances in mm; sd over seeds. Over supervised: difference in Dice on the same seeds (and its sd over them); wins: pairs of a case and a seed with a higher Dice than supervised has. Gap closed: share of the gap between supervised and fully supervised. GFLOP of the network, CPU and wall hours: one training.';

export interface TableContext {
  /** Such as 'recipe reference, test cases'. */
  readonly title: string;
  /** Runs from elsewhere to stand beside ours, and what they are called. */
  readonly peers?: { readonly name: string; readonly runs: readonly Run[] };
}

/** The whole report; runs of full supervision are set beside every number of labelled cases. */
export function markdown(runs: readonly Finished[], { title, peers }: TableContext): string {
  if (runs.length === 0) return `${title}: no run has finished.`;
  const labels = [...new Set(runs.filter((run) => !isFull(run)).map(({ labelled }) => labelled))].sort((a, b) => a - b);
  const distinct = (values: readonly (string | number)[]) => [...new Set(values)].join(', ');
  const cases = distinct(runs.map((run) => Object.keys(run.cases ?? {}).length));
  const last = runs
    .map(({ date }) => date)
    .sort()
    .at(-1);
  const facts = `${title}; ${cases} cases; ${distinct(runs.map(({ adapter }) => adapter))}; until ${last}.`;
  const tables = (labels.length > 0 ? labels : [0]).map((labelled) => {
    const heading = labelled === 0 ? '### All labels' : `### ${labelled} labelled ${labelled === 1 ? 'case' : 'cases'}`;
    const rows = [...rowsOf(runs, labelled, ''), ...(peers ? rowsOf(peers.runs, labelled, `${peers.name}, `) : [])];
    const lines = [COLUMNS, COLUMNS.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`);
    return `${heading}\n\n${lines.join('\n')}`;
  });
  return [facts, LEGEND, ...tables].join('\n\n');
}

const isFull = ({ method }: Run) => method === 'fully-supervised';

function rowsOf(runs: readonly Run[], labelled: number, prefix: string): string[][] {
  const here = runs.filter((run) => isFull(run) || run.labelled === labelled);
  const supervised = here.filter(({ method }) => method === 'supervised');
  const full = here.filter(isFull);
  return METHOD_NAMES.flatMap((method) => {
    const own = here.filter((run) => run.method === method);
    return own.length > 0 ? [[`${prefix}${method}`, ...cells(own, supervised, full)]] : [];
  });
}

function cells(runs: readonly Run[], supervised: readonly Run[], full: readonly Run[]): string[] {
  const dice = runs.map(({ scores }) => scores.Dice);
  const distances = (['HD95', 'ASD', 'ASSD'] as const).map((key) => mean(runs.map(({ scores }) => scores[key])));
  const over = runs[0].method === 'supervised' ? null : margin(runs, supervised);
  const closed = over && !isFull(runs[0]) ? gapClosed(runs, supervised, full) : null;
  const hours = (seconds: number | null) => (seconds === null ? '-' : significant(seconds / 3600, 2));
  return [
    ...[String(runs.length), fixed(mean(dice), 4), fixed(sd(dice), 4)],
    fixed(mean(runs.map(({ scores }) => scores.IoU)), 4),
    ...distances.map((distance) => fixed(distance)),
    over ? signed(over.mean) + (over.sd === null ? '' : ` (${fixed(over.sd, 4)})`) : '-',
    over && over.wins !== null ? `${over.wins} of ${over.pairs}` : '-',
    closed === null ? '-' : percent(closed),
    count(mean(runs.map(({ gflop }) => gflop)) as number),
    hours(mean(runs.map(({ cpuSeconds }) => cpuSeconds))),
    hours(mean(runs.map(({ wallSeconds }) => wallSeconds))),
  ];
}

function signed(value: number): string {
  return `${value < 0 ? '-' : '+'}${Math.abs(value).toFixed(4)}`;
}
