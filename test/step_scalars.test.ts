import * as assert from 'uvu/assert';
import { createStepCounters } from '../engine/step_counters.ts';
import { StepScalars } from '../engine/step_scalars.ts';
import { gpuTest, run } from './harness.ts';

gpuTest('step scalars: one slot a name, the others keep their value', async (device) => {
  const scalars = StepScalars.create(device, ['learning_rate', 'ema_decay', 'ramp'] as const);
  assert.is(scalars.index('ema_decay'), 1);
  scalars.set({ learning_rate: 0.5, ramp: 0.25 });
  scalars.set({ ema_decay: 0.75 });
  assert.equal(await device.read(scalars.tensor), Float32Array.of(0.5, 0.75, 0.25));
  assert.is(scalars.get('ramp'), 0.25);
});

gpuTest('step scalars: errors name the slot', async (device) => {
  const scalars = StepScalars.create(device, ['learning_rate'] as const);
  assert.throws(() => scalars.index('learning_rat' as 'learning_rate'), /'learning_rat'; .* is 'learning_rate'/);
  assert.throws(() => scalars.set({ learning_rate: Number.NaN }), /'learning_rate' would be NaN/);
});

gpuTest('step counters hold seed and step', async (device) => {
  const counters = createStepCounters(device, 0xfffffff0, 7);
  assert.equal(await device.read(counters.tensor), Uint32Array.of(0xfffffff0, 7));
  counters.setStep(8);
  assert.equal(await device.read(counters.tensor), Uint32Array.of(0xfffffff0, 8));
});

run();
