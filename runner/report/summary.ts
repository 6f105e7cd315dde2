/** A summary of scores as text: one line a label, the interval of the foreground Dice, empties, the weakest cases. */
import { foregroundDice, type Summary } from '../predict/evaluate_cases.ts';
import type { LabelScores } from '../predict/metrics.ts';
import { fixed } from './format.ts';
import { table } from './table.ts';

const WEAKEST = 3;

/** The text printed by `evaluate`, without a final newline. */
export function summaryText(summary: Summary): string {
  const { mean, foreground_mean, metric_per_case, units } = summary;
  const unit = units === 'mm' ? 'mm' : 'vx';
  const labels = Object.keys(mean);
  const several = labels.filter((label) => label !== '0').length > 1;
  const rows = [
    ['label', 'Dice', 'IoU', `HD95 ${unit}`, `ASD ${unit}`, `ASSD ${unit}`, 'volume ml', 'reference ml'],
    ...labels.map((label) => [labelTitle(summary, label), ...cells(mean[label])]),
    ...(several ? [[], ['foreground', ...cells(foreground_mean)]] : []),
  ];
  const lines = [table(rows), '', caseLine(summary)];
  if (metric_per_case.length > 1) lines.push(weakestLine(summary));
  return [...lines, ...emptyLines(summary)].join('\n');
}

function cells(scores: LabelScores): string[] {
  const { Dice, IoU, HD95, ASD, ASSD, volume_pred_ml, volume_ref_ml } = scores;
  const distances = [HD95, ASD, ASSD].map((value) => fixed(value, 2));
  return [fixed(Dice), fixed(IoU), ...distances, fixed(volume_pred_ml), fixed(volume_ref_ml)];
}

function labelTitle({ label_names }: Summary, label: string): string {
  return label_names[label] ? `${label} ${label_names[label]}` : label;
}

function caseLine({ metric_per_case, foreground_mean, foreground_dice_interval }: Summary): string {
  const cases = `${metric_per_case.length} ${metric_per_case.length === 1 ? 'case' : 'cases'}`;
  const dice = `${cases}, foreground Dice ${fixed(foreground_mean.Dice)}`;
  if (!foreground_dice_interval) return dice;
  const { low, high, level } = foreground_dice_interval;
  return `${dice} (${Math.round(100 * level)} % bootstrap interval ${fixed(low)} to ${fixed(high)})`;
}

function weakestLine({ metric_per_case }: Summary): string {
  const ranked = [...metric_per_case].sort((a, b) => foregroundDice(a) - foregroundDice(b));
  const named = ranked
    .slice(0, WEAKEST)
    .map((item) => `${caseName(item.prediction_file)} ${fixed(foregroundDice(item))}`);
  return `weakest: ${named.join(', ')}`;
}

function emptyLines(summary: Summary): string[] {
  const kinds = [
    ['empty_predictions', 'in the reference but not predicted: Dice 0, distance the diagonal of the volume'],
    ['empty_references', 'predicted but not in the reference: Dice 0, distance the diagonal of the volume'],
    ['both_empty', 'in neither prediction nor reference: Dice 1, no distance'],
  ] as const;
  return kinds.flatMap(([key, meaning]) => {
    const found = Object.entries(summary[key]).filter(([, cases]) => cases > 0);
    return found.map(
      ([label, cases]) => `${labelTitle(summary, label)}: ${cases} ${cases === 1 ? 'case' : 'cases'} ${meaning}`,
    );
  });
}

/** The name of a file without its folder and endings. */
export function caseName(file: string): string {
  return file.replace(/^.*[\\/]/, '').replace(/\.nii(\.gz)?$/i, '');
}
