import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type LabelScores, overlaps, quantile, scoreLabels } from '../../runner/predict/metrics.ts';

type Golden = {
  shape: [number, number, number];
  spacing: [number, number, number];
  prediction: string;
  reference: string;
  labels: Record<string, Omit<LabelScores, 'HD95' | 'ASD' | 'ASSD'> & Record<'mm' | 'voxel', Record<string, number>>>;
};

const golden: Golden[] = JSON.parse(readFileSync(new URL('../fixtures/metrics/metrics.json', import.meta.url), 'utf8'));

const digits = (text: string) => Uint8Array.from(text, Number);

function close(actual: number | null, expected: number, name: string): void {
  const error = Math.abs((actual ?? Number.NaN) - expected);
  assert.ok(error <= 1e-12 * Math.max(1, Math.abs(expected)), `${name}: ${actual}, expected ${expected}`);
}

test('every score equals numpy and scipy on random blobs, in mm and in voxels', () => {
  for (const [i, { shape, spacing, prediction, reference, labels }] of golden.entries()) {
    const values = Object.keys(labels).map(Number);
    for (const unit of ['mm', 'voxel'] as const) {
      const scores = scoreLabels(digits(prediction), digits(reference), shape, spacing, values, unit);
      assert.equal(Object.keys(scores), Object.keys(labels));
      for (const [label, { mm, voxel, ...rest }] of Object.entries(labels)) {
        for (const [key, value] of Object.entries({ ...rest, ...{ mm, voxel }[unit] })) {
          close(scores[label][key as keyof LabelScores], value, `case ${i}, label ${label}, ${key} in ${unit}`);
        }
      }
    }
  }
});

test('two voxels four apart, worked by hand', () => {
  const prediction = Uint8Array.of(1, 0, 0, 0, 0);
  const reference = Uint8Array.of(0, 0, 0, 0, 1);
  const { 1: scores } = scoreLabels(prediction, reference, [1, 1, 5], [3, 2, 0.5], [1]);
  assert.equal(scores, {
    Dice: 0,
    IoU: 0,
    TP: 0,
    FP: 1,
    FN: 1,
    TN: 3,
    n_pred: 1,
    n_ref: 1,
    HD95: 2,
    ASD: 2,
    ASSD: 2,
    volume_pred_ml: 0.003,
    volume_ref_ml: 0.003,
  });
});

test('ASD is directed, ASSD pools both directions', () => {
  const prediction = Uint8Array.of(1, 0, 0, 0, 0, 0);
  const reference = Uint8Array.of(1, 0, 0, 0, 0, 1);
  const { 1: there } = scoreLabels(prediction, reference, [1, 1, 6], [1, 1, 1], [1]);
  const { 1: back } = scoreLabels(reference, prediction, [1, 1, 6], [1, 1, 1], [1]);
  assert.is(there.ASD, 0);
  assert.is(back.ASD, 2.5);
  close(there.ASSD, 5 / 3, 'ASSD');
  assert.is(back.ASSD, there.ASSD);
  assert.is(there.HD95, 4.5);
});

test('identical masks: Dice 1, distances 0, also where the mask fills the volume', () => {
  const full = new Uint8Array(27).fill(1);
  const { 1: scores } = scoreLabels(full, full, [3, 3, 3], [1, 1, 1], [1]);
  assert.is(scores.Dice, 1);
  assert.is(scores.TN, 0);
  assert.equal([scores.HD95, scores.ASD, scores.ASSD], [0, 0, 0]);
});

test('an empty prediction or reference scores Dice 0 and the diagonal of the volume, in the unit asked for', () => {
  const empty = new Uint8Array(60);
  const some = new Uint8Array(60).fill(1, 20, 30);
  for (const [prediction, reference] of [
    [empty, some],
    [some, empty],
  ]) {
    const { 1: mm } = scoreLabels(prediction, reference, [3, 4, 5], [2, 1, 1], [1]);
    assert.equal([mm.Dice, mm.IoU, mm.TP], [0, 0, 0]);
    const diagonal = Math.sqrt(6 ** 2 + 4 ** 2 + 5 ** 2);
    for (const key of ['HD95', 'ASD', 'ASSD'] as const) close(mm[key], diagonal, key);
    const { 1: voxel } = scoreLabels(prediction, reference, [3, 4, 5], [2, 1, 1], [1], 'voxel');
    close(voxel.HD95, Math.sqrt(3 ** 2 + 4 ** 2 + 5 ** 2), 'HD95 in voxels');
    assert.is(voxel.volume_pred_ml, mm.volume_pred_ml);
  }
});

test('a label in neither volume scores Dice 1 and has no distance', () => {
  const labels = Uint8Array.of(0, 1, 1, 0);
  const { 7: scores } = scoreLabels(labels, labels, [1, 2, 2], [1, 1, 1], [1, 7]);
  assert.equal([scores.Dice, scores.IoU, scores.TN], [1, 1, 4]);
  assert.equal([scores.HD95, scores.ASD, scores.ASSD], [null, null, null]);
});

test('labels that are not asked for count as background', () => {
  const prediction = Float32Array.of(1, 2, 9, 300);
  const reference = Float32Array.of(1, 1, 300, 9);
  const [scores] = overlaps(prediction, reference, [1, 1, 4], [1]);
  assert.equal(scores, { Dice: 2 / 3, IoU: 0.5, TP: 1, FP: 0, FN: 1, TN: 2, n_pred: 1, n_ref: 2 });
});

test('quantile interpolates as numpy.percentile', () => {
  // python3 -c "import numpy; print(numpy.percentile([1, 2, 4, 8], [0, 50, 95, 100]))"  ->  [1. 3. 7.4 8.]
  const values = Float64Array.of(1, 2, 4, 8);
  [1, 3, 7.4, 8].forEach((expected, i) => {
    close(quantile(values, [0, 0.5, 0.95, 1][i]), expected, `quantile ${i}`);
  });
  assert.is(quantile(Float64Array.of(5), 0.95), 5);
});

test.run();
