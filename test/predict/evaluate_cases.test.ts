import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { bootstrapMean, type CaseScores, evaluateCases } from '../../runner/predict/evaluate_cases.ts';
import { scoreLabels } from '../../runner/predict/metrics.ts';

/** Five voxels in a row, 1 mm apart, labels 1 and 2. */
function row(name: string, prediction: number[], reference: number[]): CaseScores {
  const metrics = scoreLabels(prediction, reference, [1, 1, 5], [1, 1, 1], [1, 2]);
  return { prediction_file: `pred/${name}`, reference_file: `labels/${name}`, metrics };
}

const cases = [
  row('a.nii.gz', [1, 1, 0, 2, 2], [1, 1, 0, 2, 2]),
  row('b.nii.gz', [1, 0, 0, 0, 0], [0, 1, 0, 0, 0]),
  row('c.nii.gz', [0, 0, 0, 2, 0], [1, 1, 0, 2, 2]),
  row('d.nii.gz', [1, 1, 0, 0, 2], [1, 1, 0, 0, 0]),
];

test("a summary has nnU-Net's keys and ours", () => {
  const summary = evaluateCases(cases, { units: 'mm', labelNames: { 1: 'anterior', 2: 'posterior' } });
  assert.equal(Object.keys(summary), [
    'foreground_mean',
    'mean',
    'metric_per_case',
    'units',
    'label_names',
    'empty_predictions',
    'empty_references',
    'both_empty',
    'foreground_dice_interval',
  ]);
  assert.equal(Object.keys(summary.mean), ['1', '2']);
  const keys = 'Dice IoU TP FP FN TN n_pred n_ref HD95 ASD ASSD volume_pred_ml volume_ref_ml'.split(' ');
  for (const scores of [summary.foreground_mean, summary.mean[1], summary.metric_per_case[0].metrics[2]]) {
    assert.equal(Object.keys(scores).sort(), [...keys].sort());
  }
  assert.equal(Object.keys(summary.metric_per_case[2]), ['prediction_file', 'reference_file', 'metrics']);
  assert.is(summary.metric_per_case[2].reference_file, 'labels/c.nii.gz');
});

test('means over cases by label, then over labels; empties are counted and scored worst', () => {
  const diagonal = Math.hypot(1, 1, 5);
  const { foreground_mean, mean, empty_predictions, empty_references, both_empty } = evaluateCases(cases, {
    units: 'mm',
  });
  assert.equal(empty_predictions, { 1: 1, 2: 0 });
  assert.equal(empty_references, { 1: 0, 2: 1 });
  assert.equal(both_empty, { 1: 0, 2: 1 });
  assert.is(mean[1].Dice, (1 + 0 + 0 + 1) / 4);
  assert.is(mean[2].Dice, (1 + 1 + 2 / 3 + 0) / 4);
  assert.is(mean[1].ASD, (0 + 1 + diagonal + 0) / 4);
  assert.is(mean[2].ASD, (0 + 0 + diagonal) / 3);
  assert.is(mean[1].TP, 1);
  assert.is(foreground_mean.Dice, (mean[1].Dice + mean[2].Dice) / 2);
  assert.is(foreground_mean.ASD, ((mean[1].ASD ?? 0) + (mean[2].ASD ?? 0)) / 2);
});

test('a label that no case has keeps Dice 1 and no distance, and does not spoil the foreground mean', () => {
  const { foreground_mean, mean } = evaluateCases(cases.slice(0, 1).concat(cases[1]), { units: 'mm' });
  assert.is(mean[2].ASD, 0);
  const only = evaluateCases([cases[1]], { units: 'mm' });
  assert.is(only.mean[2].ASD, null);
  assert.is(only.foreground_mean.ASD, 1);
  assert.is(only.foreground_dice_interval, null);
  assert.is(foreground_mean.ASD, 0.25);
});

test('the background is scored when asked for, and left out of the foreground', () => {
  const metrics = scoreLabels([1, 0], [1, 0], [1, 1, 2], [1, 1, 1], [0, 1]);
  const wrong = scoreLabels([1, 1], [1, 0], [1, 1, 2], [1, 1, 1], [0, 1]);
  const summary = evaluateCases(
    [metrics, wrong].map((m) => ({ prediction_file: 'p', reference_file: 'r', metrics: m })),
    { units: 'voxel' },
  );
  assert.equal(Object.keys(summary.mean), ['0', '1']);
  assert.is(summary.foreground_mean.Dice, summary.mean[1].Dice);
});

test('the bootstrap interval is seeded, holds the mean and has the width of the normal approximation', () => {
  const values = Array.from({ length: 400 }, (_, i) => (i % 20) / 20);
  const mean = values.reduce((a, b) => a + b) / values.length;
  const error = Math.sqrt(values.reduce((sum, v) => sum + (v - mean) ** 2, 0)) / values.length;
  const interval = bootstrapMean(values, 4000, 3);
  assert.equal(bootstrapMean(values, 4000, 3), interval);
  assert.not.equal(bootstrapMean(values, 4000, 4), interval);
  assert.ok(Math.abs(interval.low - (mean - 1.96 * error)) < 0.1 * error, `${interval.low}`);
  assert.ok(Math.abs(interval.high - (mean + 1.96 * error)) < 0.1 * error, `${interval.high}`);
});

test.run();
