/** The table of bench/precision.ts, by hand. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type PrecisionRun, precisionTable } from '../../bench/precision/table.ts';

const cells = (runs: readonly PrecisionRun[]) =>
  precisionTable(runs)
    .split('\n')
    .filter((line) => !line.startsWith('─'))
    .map((line) => line.split(/ {2,}/));

test('losses every 25 steps, mean relative difference to the first run, mean of the last 20, skipped steps', () => {
  const fp32 = Array.from({ length: 40 }, (_, step) => (step < 20 ? 1 : 2));
  const mixed = fp32.map((loss, step) => (step % 2 === 0 ? loss : 0.75 * loss));
  assert.equal(
    cells([
      { precision: 'fp32', losses: fp32, skipped: 0 },
      { precision: 'mixed', losses: mixed, skipped: 0 },
      { precision: 'matrix', losses: fp32.slice(0, 10), skipped: 3 },
    ]),
    [
      ['loss at step', 'fp32', 'mixed', 'matrix'],
      ['0', '1.000', '1.000', '1.000'],
      ['25', '2.000', '1.500', '-'],
      ['mean of the last 20', '2.000', '1.750', '1.000'],
      ['mean difference to fp32', '-', '12.50 %', '0.000 %'],
      ['steps skipped', '0', '0', '3'],
    ],
  );
});

test('a run that was stopped before its first step has dashes', () => {
  const runs: PrecisionRun[] = [
    { precision: 'fp32', losses: [0.5], skipped: 0 },
    { precision: 'mixed', losses: [], skipped: 0 },
  ];
  assert.equal(cells(runs).slice(1), [
    ['0', '0.5000', '-'],
    ['mean of the last 20', '0.5000', '-'],
    ['mean difference to fp32', '-', '-'],
    ['steps skipped', '0', '-'],
  ]);
});

test.run();
