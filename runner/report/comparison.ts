/** Two methods scored on the same cases, as text. */
import { foregroundDice, type Summary } from '../predict/evaluate_cases.ts';
import { fixed } from './format.ts';
import { caseName } from './summary.ts';
import { table } from './table.ts';

export interface Scored {
  /** As people read it. */
  readonly name: string;
  readonly summary: Summary;
}

export interface PairedDice {
  /** Of the foreground Dice, the second's minus the first's, over the cases. */
  readonly mean: number;
  /** Cases on which the second is better. */
  readonly wins: number;
  readonly cases: number;
}

/** Differences case by case. Errors: RangeError where the two were not scored on the same cases. */
export function pairedDice(first: Summary, second: Summary): PairedDice {
  const scores = new Map(first.metric_per_case.map((item) => [caseName(item.prediction_file), foregroundDice(item)]));
  const differences = second.metric_per_case.map((item) => {
    const before = scores.get(caseName(item.prediction_file));
    if (before === undefined || scores.size !== second.metric_per_case.length)
      throw new RangeError(`the two summaries are of different cases (${caseName(item.prediction_file)})`);
    return foregroundDice(item) - before;
  });
  const mean = differences.reduce((sum, d) => sum + d, 0) / differences.length;
  return { mean, wins: differences.filter((d) => d > 0).length, cases: differences.length };
}

/** A table by label, and one sentence on which of the two is better, whichever that is. */
export function comparisonText(first: Scored, second: Scored): string {
  const [a, b] = [first.summary, second.summary];
  const unit = a.units === 'mm' ? 'mm' : 'vx';
  const row = (title: string, of: (s: Summary) => { Dice: number | null; HD95: number | null }) => [
    title,
    ...[of(a).Dice, of(b).Dice].map((value) => fixed(value)),
    ...[of(a).HD95, of(b).HD95].map((value) => fixed(value, 2)),
  ];
  const labels = Object.keys(a.mean);
  const rows = [
    ['', `Dice ${first.name}`, second.name, `HD95 ${unit} ${first.name}`, second.name],
    ...labels.map((label) => row(a.label_names[label] ?? label, (s) => s.mean[label])),
    [],
    row('foreground', (s) => s.foreground_mean),
  ];
  const { mean, wins, cases } = pairedDice(a, b);
  const shown = Number(mean.toFixed(3));
  const by = `foreground Dice ${shown < 0 ? '' : '+'}${shown.toFixed(3)}, better on ${wins} of ${cases} cases`;
  const comparison = shown > 0 ? 'better than' : shown === 0 ? 'no better than' : 'worse than';
  const verdict = `${second.name} is ${comparison} ${first.name} here: ${by}`;
  return `${table(rows)}\n\n${verdict}`;
}
