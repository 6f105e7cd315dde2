import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type ActionOptions, paper, type Stage2Options, small } from '../../engine/action/options.ts';
import { checkStage2 } from '../../engine/action/stage2_check.ts';
import { UsageError } from '../../engine/errors.ts';

const of = (preset: ActionOptions, change: Partial<Stage2Options>): ActionOptions => ({
  ...preset,
  stage2: { ...preset.stage2, ...change },
});
const refused = (options: ActionOptions, pattern: RegExp) =>
  assert.throws(
    () => checkStage2(options),
    (error: Error) => {
      assert.ok(error instanceof UsageError);
      assert.match(error.message, pattern);
      return true;
    },
  );

test('the presets are accepted', () => {
  checkStage2(paper);
  checkStage2(small);
});

test('a batch of one that would have to be mixed is refused by name, other ways are offered', () => {
  refused(
    of(paper, { unlabelledBatch: 1 }),
    /stage2.mixing 'classmix'.*stage2.unlabelledBatch is 1; set .* to 2, or stage2.mixing to 'cutout' or 'none'/,
  );
  refused(of(small, { unlabelledBatch: 1 }), /stage2.mixing 'both'/);
  checkStage2(of(paper, { unlabelledBatch: 1, mixing: 'cutout' }));
  checkStage2(of(paper, { unlabelledBatch: 1, mixing: 'none' }));
});

test('an exact prototype of a head that is not affine is refused', () => {
  refused(
    of(small, { prototypes: 'exact' }),
    /stage2.prototypes 'exact'.*stage2.head is 'pointwise'; set stage2.prototypes to 'sampled' or stage2.head/,
  );
  checkStage2(of(small, { prototypes: 'exact', ancoWeight: 0 }));
});

test('everything that makes the mathematics undefined is listed at once', () => {
  refused(
    of(paper, { tau: 0, queries: 0, negatives: 1.5, strongConfidence: 1.2, ramp: -1, clip: Number.NaN }),
    /stage2.clip is NaN.*stage2.ramp is -1.*stage2.strongConfidence is 1.2.*stage2.tau is 0 but must be above 0.*stage2.queries is 0.*stage2.negatives is 1.5/,
  );
  refused({ ...paper, teacher: { ...paper.teacher, m: 1.1 } }, /teacher.m is 1.1/);
  refused(of(paper, { unlabelledBatch: 0 }), /stage2.unlabelledBatch is 0 but must be an integer of 1 or more/);
  checkStage2(of(paper, { tau: 0, ancoWeight: 0 }));
});

test.run();
