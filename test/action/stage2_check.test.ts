import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type ActionOptions, paper, type Stage2Options, small } from '../../engine/action/options.ts';
import { checkStage2 } from '../../engine/action/stage2_check.ts';
import { stage2Scalars } from '../../engine/action/stage2_parts.ts';
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

test('labelled partners: one unlabelled patch will do; a mixing without partners is refused', () => {
  for (const mixing of ['classmix', 'cutmix', 'both'] as const) {
    checkStage2(of(paper, { partner: 'labelled', mixing, unlabelledBatch: 1 }));
    checkStage2(of(small, { partner: 'labelled', mixing, supervisedBatch: false, unlabelledVoxels: 0.5 }));
  }
  for (const mixing of ['cutout', 'none'] as const) {
    refused(
      of(paper, { partner: 'labelled', mixing }),
      new RegExp(
        `stage2.mixing '${mixing}' takes nothing.*stage2.partner is 'labelled'; set stage2.mixing to 'classmix'`,
      ),
    );
  }
});

test('labelled patches that would be seen nowhere are refused, and so is a weight against nothing', () => {
  refused(
    of(small, { supervisedBatch: false }),
    /stage2.supervisedBatch is false but .* stage2.partner 'unlabelled'; set stage2.supervisedBatch to true, or/,
  );
  refused(
    of(small, { unlabelledVoxels: 0.5 }),
    /stage2.unlabelledVoxels is 0.5 but .* stage2.partner 'unlabelled'; set stage2.unlabelledVoxels to 1, or/,
  );
  refused(
    of(small, { partner: 'labelled', unlabelledVoxels: -1 }),
    /stage2.unlabelledVoxels is -1 but must be 0 or more/,
  );
  const alone = { partner: 'labelled', supervisedBatch: false } as const;
  refused(
    of(small, { ...alone, unsupWeight: 0 }),
    /stage2.unsupWeight is 0 but .* stage2.supervisedBatch is false; set stage2.unsupWeight above 0/,
  );
  refused(
    of(small, { ...alone, labelledBatch: 3, unlabelledBatch: 1 }),
    /stage2.labelledBatch is 3 but only 1 of them .*; set stage2.labelledBatch to 1, or stage2.supervisedBatch to true/,
  );
  checkStage2(of(small, { ...alone, labelledBatch: 1, unlabelledBatch: 3 }));
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
  refused(of(paper, { tau: 1e-50 }), /stage2.tau is 1e-50/);
  checkStage2(of(paper, { tau: 0, ancoWeight: 0 }));
});

test('cycles restart the rate; the ramp is over the first one', () => {
  const at = (step: number, cycles: number) =>
    stage2Scalars(of(small, { steps: 10, warmUp: 0, ramp: 1, cycles }), step);
  const rates = (cycles: number) => Array.from({ length: 10 }, (_, step) => at(step, cycles).learning_rate);
  const half = rates(2);
  assert.equal(half.slice(5), half.slice(0, 5));
  assert.equal(
    half.slice(0, 5),
    [0, 1, 2, 3, 4].map((t) => small.stage2.rate * (1 - t / 5) ** 0.9),
  );
  assert.ok(rates(1).every((rate, i, all) => i === 0 || rate < all[i - 1]));
  assert.ok(at(4, 2).ramp < 1);
  for (const step of [5, 9]) assert.is(at(step, 2).ramp, 1);
  const uneven = rates(3);
  assert.equal([uneven[4], uneven[8]], [uneven[0], uneven[0]]);
  refused(of(small, { cycles: 0 }), /stage2\.cycles is 0 but must be an integer of 1 or more/);
});

test.run();
