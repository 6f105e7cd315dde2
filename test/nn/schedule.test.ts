import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { emaDecay, polyRate, sigmoidRamp } from '../../engine/nn/schedule.ts';
import * as reference from '../reference/schedule.ts';

test('poly decay with warm-up equals the reference at every step and ends at zero', () => {
  for (let step = 0; step < 50; step++) {
    assert.is(polyRate(step, { rate: 0.3, steps: 50, warmUp: 20 }), reference.poly(step, 50, 0.3, 0.9, 20));
    assert.is(polyRate(step, { rate: 0.1, steps: 50, power: 2 }), reference.poly(step, 50, 0.1, 2));
  }
  assert.is(polyRate(0, { rate: 1, steps: 10, warmUp: 4 }), 0.25);
  assert.is(polyRate(10, { rate: 1, steps: 10 }), 0);
  assert.is(polyRate(11, { rate: 1, steps: 10 }), 0);
});

test('sigmoid ramp rises from exp(-5) to one', () => {
  for (let step = 0; step < 30; step++) assert.is(sigmoidRamp(step, 20), reference.sigmoidRamp(step, 20));
  assert.is(sigmoidRamp(0, 20), Math.exp(-5));
  assert.is(sigmoidRamp(20, 20), 1);
  assert.is(sigmoidRamp(0, 0), 1);
});

test('EMA decay starts as a true mean', () => {
  assert.is(emaDecay(0), 0);
  assert.is(emaDecay(1), 0.5);
  assert.is(emaDecay(98, 0.99), 1 - 1 / 99);
  assert.is(emaDecay(1000, 0.99), 0.99);
});

test.run();
