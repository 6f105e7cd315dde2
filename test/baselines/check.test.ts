import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { checkCps, checkMeanTeacher, checkUaMt } from '../../engine/baselines/check.ts';
import { cpsDefaults, meanTeacherDefaults, uaMtDefaults } from '../../engine/baselines/options.ts';
import { uncertaintyThreshold } from '../../engine/baselines/ua_mt.ts';
import { UsageError } from '../../engine/errors.ts';

const refused = (check: () => void, pattern: RegExp) =>
  assert.throws(check, (error: Error) => {
    assert.ok(error instanceof UsageError);
    assert.match(error.message, pattern);
    return true;
  });

test('the defaults are accepted, and have the published constants', () => {
  checkMeanTeacher(meanTeacherDefaults);
  checkUaMt(uaMtDefaults);
  checkCps(cpsDefaults);
  const { m, weight, ramp } = meanTeacherDefaults;
  assert.equal([m, weight, ramp], [0.99, 1, 0.4]);
  const { passes, noise, noiseLimit, threshold } = uaMtDefaults;
  assert.equal([passes, noise, noiseLimit, threshold], [8, 0.1, 0.2, 0.75]);
});

test('everything that makes a method undefined is listed at once', () => {
  refused(
    () => checkMeanTeacher({ ...meanTeacherDefaults, steps: 0, rate: Number.NaN, momentum: 1, ramp: 1.5, m: -0.1 }),
    /^Mean Teacher cannot run: steps is 0 but must be an integer of 1 or more; rate is NaN.*ramp is 1.5.*momentum is 1.*m is -0.1 but must be from 0 to 1$/,
  );
  refused(
    () => checkUaMt({ ...uaMtDefaults, passes: 0, noise: -1, noiseLimit: Number.POSITIVE_INFINITY, threshold: 2 }),
    /^UA-MT cannot run: passes is 0.*noise is -1.*noiseLimit is Infinity.*threshold is 2/,
  );
  refused(
    () => checkCps({ ...cpsDefaults, weight: -1, clip: Number.NaN }),
    /^CPS cannot run: clip is NaN.*weight is -1 but must be 0 or more/,
  );
});

test('momentum matters to SGD only', () => {
  const options = { ...cpsDefaults, momentum: 0, nesterov: true };
  refused(() => checkCps(options), /nesterov is true, which needs a momentum above 0/);
  checkCps({ ...options, optimiser: 'adamw' });
});

test("UA-MT's threshold rises from 3/4 of the largest entropy to all of it", () => {
  const options = { ...uaMtDefaults, steps: 100 };
  const near = (actual: number, expected: number) => assert.ok(Math.abs(actual - expected) < 1e-12, `${actual}`);
  near(uncertaintyThreshold(options, 2, 0), (0.75 + 0.25 * Math.exp(-5)) * Math.log(2));
  near(uncertaintyThreshold(options, 2, 50), (0.75 + 0.25 * Math.exp(-1.25)) * Math.log(2));
  near(uncertaintyThreshold(options, 2, 100), Math.log(2));
  near(uncertaintyThreshold(options, 5, 100), Math.log(5));
});

test.run();
