import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type ActionOptions, actionPresets, small } from '../../engine/action/options.ts';
import { checkStage1 } from '../../engine/action/stage1_check.ts';
import { fillsBank, stage1Scalars } from '../../engine/action/stage1_parts.ts';
import { UsageError } from '../../engine/errors.ts';

const refused = (change: Partial<ActionOptions>, ...patterns: RegExp[]) =>
  assert.throws(
    () => checkStage1({ ...small, ...change }),
    (error: Error) => error instanceof UsageError && patterns.every((pattern) => pattern.test(error.message)),
    String(patterns[0]),
  );

test('the presets can run', () => {
  for (const options of Object.values(actionPresets)) checkStage1(options);
});

test('temperatures of 0, negative or absent are named, each where it is used', () => {
  refused({ global: { ...small.global, tauT: 0 } }, /global\.tauT is 0 but must be above 0/);
  refused({ global: { ...small.global, tauT: 1e-50 } }, /global\.tauT is 1e-50 but must be above 0, and its inverse/);
  refused({ local: { ...small.local, tauS: -0.1 } }, /local\.tauS is -0.1/);
  refused({ global: { ...small.global, tauS: Number.NaN } }, /global\.tauS is NaN/);
  checkStage1({ ...small, local: { ...small.local, tauS: 0, weight: 0 } });
});

test('a bank larger than the patches seen, smaller than a batch, or of one row', () => {
  const bank = (K: number, bankStart: 'fill' | 'gaussian' = 'fill') => ({ global: { ...small.global, K, bankStart } });
  refused(
    bank(400),
    /global\.K is 400 but stage1a sees only 400 patches \(100 steps of 4\).*global\.bankStart 'gaussian'/,
  );
  checkStage1({ ...small, ...bank(396) });
  checkStage1({ ...small, ...bank(400, 'gaussian') });
  refused(bank(3), /global\.K is 3 but stage1a makes 4 keys a step/);
  refused(bank(1), /global\.K is 1 but must be an integer of 2 or more/);
  refused({ local: { ...small.local, K: 2000 } }, /local\.K is 2000 but stage1b sees only 400 patches/);
  checkStage1({
    ...small,
    ...bank(400),
    stage1a: { ...small.stage1a, steps: 0 },
    stage1b: { ...small.stage1b, steps: 500 },
  });
});

test('everything wrong is named at once', () => {
  refused(
    {
      teacher: { m: 1.5, update: 'after' },
      stage1a: { ...small.stage1a, batch: 0, rate: 0 },
      stage1b: { ...small.stage1b, momentum: 1, clip: -1, steps: 2.5 },
      global: { ...small.global, bins: [2, 0, 2], d: 0, weight: -1 },
      local: { ...small.local, window: 0 },
    },
    /teacher\.m is 1\.5 but must be from 0 to 1/,
    /stage1a\.batch is 0/,
    /stage1a\.rate is 0 but must be above 0/,
    /stage1b\.momentum is 1/,
    /stage1b\.clip is -1/,
    /stage1b\.steps is 2\.5/,
    /global\.bins is 0/,
    /global\.d is 0/,
    /global\.weight is -1/,
    /local\.window is 0/,
  );
});

test('step scalars by hand: rate, cursors, filled rows, and when the distillations begin', () => {
  // small: banks of 36 fill over 9 steps of 4.
  assert.equal(
    [0, 8, 9].map((step) => fillsBank(small, step)),
    [true, true, false],
  );
  const at = stage1Scalars('1b', small, 8);
  assert.equal([at.global_bank_cursor, at.local_bank_filled, at.global_active, at.local_active], [32, 32, 0, 0]);
  const full = stage1Scalars('1b', small, 10);
  assert.equal([full.local_bank_cursor, full.global_bank_filled, full.global_active, full.local_active], [4, 36, 1, 1]);
  assert.is(full.ema_decay, 0.99);
  assert.is(full.learning_rate, 0.3 * (1 - 10 / 100) ** 0.9 * (11 / 20));
  assert.is(stage1Scalars('1a', small, 30).learning_rate, 0.01 * 0.7 ** 0.9);
  const gaussian = { ...small, global: { ...small.global, bankStart: 'gaussian' as const } };
  assert.equal([fillsBank(gaussian, 0), stage1Scalars('1a', gaussian, 0).global_active], [false, 1]);
});

test.run();
