import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { bytes, count, duration, fixed, percent, significant } from '../../runner/report/format.ts';
import { table } from '../../runner/report/table.ts';

test('the first column is left, the others are right; the header is ruled off', () => {
  const text = table([
    ['label', 'Dice', 'HD95'],
    ['anterior', '0.9', '12.25'],
    ['Größe', '0.85'],
    [],
    ['mean', '0.875', '12.25'],
  ]);
  assert.is(
    text,
    [
      'label      Dice   HD95',
      '──────────────────────',
      'anterior    0.9  12.25',
      'Größe      0.85',
      '──────────────────────',
      'mean      0.875  12.25',
    ].join('\n'),
  );
});

test('alignment a column, no header', () => {
  const rows = [
    ['1', 'adapter', 'x'],
    ['10', 'GPU', 'yz'],
  ];
  assert.is(table(rows, { align: 'rl', header: false }), ' 1  adapter  x\n10  GPU      yz');
  assert.is(table([['only', 'header']]), 'only  header');
  assert.is(table([]), '');
});

test('decomposed accents count once', () => {
  assert.is(
    table(
      [
        ['e\u0301', '1'],
        ['ab', '2'],
      ],
      { header: false },
    ),
    'e\u0301   1\nab  2',
  );
});

test('numbers', () => {
  assert.equal([fixed(0.12345), fixed(2, 1), fixed(null), fixed(Number.NaN)], ['0.123', '2.0', '-', '-']);
  assert.equal([count(7), count(1000), count(30000), count(1234567.6)], ['7', '1 000', '30 000', '1 234 568']);
  assert.equal([percent(0.5), percent(0.1234, 1)], ['50 %', '12.3 %']);
  assert.equal(
    [significant(0, 3), significant(9.996, 3), significant(0.0123456, 3), significant(123456, 3), significant(-4.5, 3)],
    ['0', '10.0', '0.0123', '123456', '-4.50'],
  );
});

test('bytes', () => {
  assert.equal([0, 999, 1000, 1536, 1023 * 1024, 5.1 * 2 ** 30, 2 ** 50].map(bytes), [
    '0 B',
    '999 B',
    '0.977 KiB',
    '1.50 KiB',
    '0.999 MiB',
    '5.10 GiB',
    '1024 TiB',
  ]);
});

test('durations', () => {
  assert.equal([0.0414, 0.9994, 0.9996, 9.34, 59.94, 59.96, 475, 3599.6, 7500, 86399, 273600].map(duration), [
    '41 ms',
    '999 ms',
    '1.0 s',
    '9.3 s',
    '60 s',
    '1 m 00 s',
    '7 m 55 s',
    '1 h 00 m',
    '2 h 05 m',
    '24 h 00 m',
    '3 d 04 h',
  ]);
});

test.run();
