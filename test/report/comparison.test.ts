import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { evaluateCases, type Summary } from '../../runner/predict/evaluate_cases.ts';
import type { LabelScores } from '../../runner/predict/metrics.ts';
import { comparisonText, pairedDice } from '../../runner/report/comparison.ts';

const scores = (Dice: number): LabelScores =>
  ({ Dice, IoU: Dice / (2 - Dice), HD95: 10 * (1 - Dice), ASD: 1, ASSD: 1, n_pred: 5, n_ref: 5 }) as LabelScores;

/** A summary of cases a, b, … with one foreground label. */
function summary(dice: readonly number[], names = 'abcdef'): Summary {
  const cases = dice.map((d, i) => ({
    prediction_file: `p/${names[i]}.nii.gz`,
    reference_file: `r/${names[i]}.nii.gz`,
    metrics: { 1: scores(d) },
  }));
  return evaluateCases(cases, { units: 'mm', labelNames: { 1: 'kidney' } });
}

test('differences are taken case by case', () => {
  const { mean, wins, cases } = pairedDice(summary([0.5, 0.6, 0.7]), summary([0.6, 0.55, 0.8]));
  assert.ok(Math.abs(mean - 0.05) < 1e-12);
  assert.equal([wins, cases], [2, 3]);
  const swapped = pairedDice(summary([0.5, 0.6], 'ab'), summary([0.6, 0.5], 'ba'));
  assert.equal([swapped.mean, swapped.wins], [0, 0]);
});

test('summaries of different cases are not compared', () => {
  assert.throws(() => pairedDice(summary([0.5, 0.6]), summary([0.5, 0.6], 'ax')), /different cases \(x\)/);
  assert.throws(() => pairedDice(summary([0.5, 0.6]), summary([0.5])), /different cases/);
});

test('the sentence says who won, whichever it was', () => {
  const [low, high] = [
    { name: 'supervised', summary: summary([0.5, 0.6]) },
    { name: 'ACTION', summary: summary([0.75, 0.8]) },
  ];
  const text = comparisonText(low, high);
  assert.match(text, /kidney +0\.550 +0\.775 +4\.50 +2\.25/);
  assert.match(text, /ACTION is better than supervised here: foreground Dice \+0\.225, better on 2 of 2 cases$/);
  const lost = comparisonText({ ...high, name: 'supervised' }, { ...low, name: 'ACTION' });
  assert.match(lost, /ACTION is worse than supervised here: foreground Dice -0\.225, better on 0 of 2 cases$/);
  const hardly = { name: 'ACTION', summary: summary([0.5004, 0.6004]) };
  assert.match(
    comparisonText(low, hardly),
    /ACTION is no better than supervised here: foreground Dice \+0\.000, better on 2 of 2/,
  );
});

test.run();
