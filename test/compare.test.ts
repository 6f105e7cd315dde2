import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { assertClose, maxError, unravel } from './compare.ts';
import { random } from './reference/dense.ts';

const expected = random([2, 3, 4, 5, 2], 1);

test('equal values pass, a value just beyond the tolerance does not', () => {
  assertClose('same', Float32Array.from(expected.data), expected);
  const actual = Float64Array.from(expected.data);
  actual[7] += 0.011;
  assert.ok(maxError(actual, expected, { absolute: 0.012, relative: 0 }).ok);
  assert.not.ok(maxError(actual, expected, { absolute: 0.01, relative: 0 }).ok);
});

test('the relative part grows with the terms and the largest magnitude', () => {
  const wide = { shape: [2], data: [-8, 1] };
  assert.is(maxError([-8, 1], wide, { absolute: 0, relative: 2, terms: 3 }).tolerance, 2 * 3 * 8 * 2 ** -24);
});

test('a mismatch shows its place, both values and its neighbours', () => {
  const actual = Float64Array.from(expected.data);
  const at = (((1 * 3 + 2) * 4 + 0) * 5 + 3) * 2 + 1;
  assert.equal(unravel(at, expected.shape), [1, 2, 0, 3, 1]);
  actual[at] += 1;
  try {
    assertClose('conv3d', actual, expected);
    assert.unreachable();
  } catch (error) {
    const lines = (error as Error).message.split('\n');
    assert.match(lines[0], /^conv3d \[2,3,4,5,2\]: 1 of 240 values differ by more than /);
    assert.equal(
      lines.slice(1).map((line) => line.slice(0, 16).trimEnd()),
      [
        '    [0,2,0,3,1]',
        '    [1,1,0,3,1]',
        '    [1,2,0,2,1]',
        '    [1,2,0,3,0]',
        '  * [1,2,0,3,1]',
        '    [1,2,0,4,1]',
        '    [1,2,1,3,1]',
      ],
    );
    assert.ok(lines[5].includes(`actual ${actual[at]}  expected ${expected.data[at]}`));
  }
});

test('NaN and a wrong length never pass', () => {
  const actual = Float64Array.from(expected.data);
  actual[3] = Number.NaN;
  assert.throws(() => assertClose('nan', actual, expected, { absolute: 1e9 }), /1 of 240 values differ/);
  assert.throws(() => maxError(actual.subarray(1), expected), /239 values, expected 240/);
});

test.run();
