/**
 * Many scored cases as one summary. `foreground_mean`, `mean` and `metric_per_case` are spelled and nested as in nnU-Net's
 * `summary.json`, so its readers work on ours; the surface distances and the other keys are additions.
 */
import { Stream } from '../../engine/random.ts';
import { type DistanceUnit, type LabelScores, quantile } from './metrics.ts';

export interface CaseScores {
  prediction_file: string;
  reference_file: string;
  /** Scores keyed by label; every case of a summary has the same labels. */
  metrics: Record<string, LabelScores>;
}

export interface Summary {
  /** Each metric's mean over the foreground labels of `mean`. */
  foreground_mean: LabelScores;
  /** Each metric's mean over the cases, by label; a distance of a case where both sides are empty is left out. */
  mean: Record<string, LabelScores>;
  metric_per_case: CaseScores[];
  /** What HD95, ASD and ASSD are measured in. */
  units: DistanceUnit;
  /** The name of each label, where known. */
  label_names: Record<string, string>;
  /** Cases, by label, where the label is in the reference but nowhere in the prediction: Dice 0, the worst distance. */
  empty_predictions: Record<string, number>;
  /** Cases, by label, where the label is predicted but nowhere in the reference: Dice 0, the worst distance. */
  empty_references: Record<string, number>;
  /** Cases, by label, where it is in neither: Dice 1, no distance. */
  both_empty: Record<string, number>;
  /** Of the mean Dice over foreground labels and cases; null for a single case, which says nothing about others. */
  foreground_dice_interval: BootstrapInterval | null;
}

/** A percentile bootstrap interval of a mean over cases (Efron 1979). */
export interface BootstrapInterval {
  low: number;
  high: number;
  level: number;
  resamples: number;
  seed: number;
}

export interface SummaryOptions {
  units: DistanceUnit;
  labelNames?: Record<string, string>;
  seed?: number;
  resamples?: number;
}

/** Pure aggregation; needs at least one case and at least one foreground label. */
export function evaluateCases(cases: readonly CaseScores[], options: SummaryOptions): Summary {
  const labels = Object.keys(cases[0].metrics);
  const foreground = labels.filter((label) => label !== '0');
  const mean: Record<string, LabelScores> = {};
  for (const label of labels) mean[label] = meanScores(cases.map(({ metrics }) => metrics[label]));
  const count = (holds: (scores: LabelScores) => boolean) =>
    Object.fromEntries(labels.map((label) => [label, cases.filter((c) => holds(c.metrics[label])).length]));
  return {
    foreground_mean: meanScores(foreground.map((label) => mean[label])),
    mean,
    metric_per_case: [...cases],
    units: options.units,
    label_names: options.labelNames ?? {},
    empty_predictions: count(({ n_pred, n_ref }) => n_pred === 0 && n_ref > 0),
    empty_references: count(({ n_pred, n_ref }) => n_pred > 0 && n_ref === 0),
    both_empty: count(({ n_pred, n_ref }) => n_pred === 0 && n_ref === 0),
    foreground_dice_interval:
      cases.length > 1 ? bootstrapMean(cases.map(foregroundDice), options.resamples, options.seed) : null,
  };
}

/** Mean Dice over the foreground labels of one case. */
export function foregroundDice({ metrics }: CaseScores): number {
  const scores = Object.keys(metrics).filter((label) => label !== '0');
  return scores.reduce((sum, label) => sum + metrics[label].Dice, 0) / scores.length;
}

/**
 * The 95 % percentile bootstrap interval of the mean: `resamples` draws of as many values with replacement, from a stream
 * of the seed, so that the same scores always give the same interval.
 */
export function bootstrapMean(values: readonly number[], resamples = 10000, seed = 0): BootstrapInterval {
  const level = 0.95;
  const draws = new Stream(seed);
  const means = new Float64Array(resamples);
  for (let r = 0; r < resamples; r++) {
    let sum = 0;
    for (let i = 0; i < values.length; i++) sum += values[draws.integer(values.length)];
    means[r] = sum / values.length;
  }
  means.sort();
  return { low: quantile(means, (1 - level) / 2), high: quantile(means, (1 + level) / 2), level, resamples, seed };
}

function meanScores(rows: readonly LabelScores[]): LabelScores {
  const means: Record<string, number | null> = {};
  for (const key of Object.keys(rows[0]) as (keyof LabelScores)[]) {
    const values = rows.map((row) => row[key]).filter((value) => value !== null);
    means[key] = values.length > 0 ? values.reduce((a, b) => a + b, 0) / values.length : null;
  }
  return means as unknown as LabelScores;
}
