/** The supervised trainer itself, without files. */
import * as assert from 'uvu/assert';
import type { Device } from '../../engine/device.ts';
import { DataError } from '../../engine/errors.ts';
import { loadState, saveState } from '../../engine/nn/state.ts';
import { type TrainConfigInput, trainConfig } from '../../runner/train/config.ts';
import { stagesOf } from '../../runner/train/methods.ts';
import { gpuTest, run } from '../harness.ts';
import { noiseCase } from './cases.ts';

const CASES = [noiseCase([18, 16, 17], 1), noiseCase([16, 20, 16], 2)];

function tiny(device: Device, input: TrainConfigInput = {}) {
  const config = trainConfig({ patch: [8, 8, 8], steps: 100, network: { channels: [4, 8] }, ...input });
  const [stage] = stagesOf(config);
  return stage.create({ device, labelled: CASES, unlabelled: [], classes: 2, offset: 0, initialise: true });
}

gpuTest('bytes after step 3 are bytes after step 100, and the loss has fallen', async (device) => {
  const trainer = await tiny(device, { patch: [16, 16, 16] });
  const losses: number[] = [];
  let held = 0;
  for (let step = 0; step < 100; step++) {
    losses.push((await trainer.step(step)).loss);
    if (step === 2) held = device.bytesHeld;
  }
  assert.is(device.bytesHeld, held);
  assert.ok(losses[99] < 0.4 * losses[0], `${losses[0]} to ${losses[99]}`);
  trainer.destroy();
  assert.is(device.bytesHeld, 0);
});

for (const name of ['sgd', 'adamw'] as const) {
  gpuTest(`${name}: saved after two steps and loaded elsewhere, the third and fourth are the same`, async (device) => {
    const input: TrainConfigInput = {
      optimiser: { name, rate: 0.01 },
      augmentation: { elastic: { probability: 1 }, intensity: 1.5, flip: [true, false, true], foreground: 0.5 },
      network: { channels: [4, 8], norm: 'batch', dropout: 0.3 },
    };
    const first = await tiny(device, input);
    for (const step of [0, 1]) await first.step(step);
    const saved = await saveState(first.state);
    const second = await tiny(device, { ...input });
    loadState(second.state, saved);
    for (const step of [2, 3]) assert.equal(await second.step(step), await first.step(step));
    assert.equal(await saveState(second.state), await saveState(first.state));
    first.destroy();
    second.destroy();
  });
}

gpuTest('a checkpoint of another optimiser is refused', async (device) => {
  const trainer = await tiny(device);
  const saved = await saveState(trainer.state);
  saved.delete('optimiser.network.velocity');
  assert.throws(
    () => loadState(trainer.state, saved),
    (error: Error) => error instanceof DataError && /has no 'optimiser\.network\.velocity'/.test(error.message),
  );
  trainer.destroy();
});

run();
