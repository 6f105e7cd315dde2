import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { judge, TIMEOUT_SECONDS } from './judge.ts';

const ended = (total: number, passed: number, skipped = 0) =>
  `• •   (${passed} / ${total})\n\n  Total:     ${total}\n  Passed:    ${passed}\n  Skipped:   ${skipped}\n  Duration:  2.10ms\n\n`;

test('counts tests that passed, failed and were skipped', () => {
  assert.equal(judge(ended(5, 5), 0, null, false), { passed: 5, failed: 0, skipped: 0, trouble: '' });
  assert.equal(judge(ended(5, 3, 1), 1, null, false), { passed: 3, failed: 2, skipped: 1, trouble: '' });
});

test('counts a test that failed although the process ended with 0', () => {
  assert.is(judge(ended(5, 4), 0, null, false).failed, 1);
});

test('counts a file that crashed, hung, or ended before its tests as failed', () => {
  assert.equal(judge(ended(5, 5), null, 'SIGABRT', false), {
    passed: 5,
    failed: 1,
    skipped: 0,
    trouble: 'crashed with SIGABRT',
  });
  assert.match(judge('• •', null, 'SIGKILL', true).trouble, `hung: killed after ${TIMEOUT_SECONDS} s`);
  assert.equal(judge('', 0, null, false), {
    passed: 0,
    failed: 1,
    skipped: 0,
    trouble: 'ended with code 0 before its tests ran',
  });
  assert.is(judge(ended(5, 5), 134, null, false).failed, 1);
  assert.is(judge(ended(0, 0), 0, null, false).failed, 1);
});

test('takes the last summary where a test prints another', () => {
  assert.is(judge(ended(1, 0) + ended(7, 7), 0, null, false).passed, 7);
});

test.run();
