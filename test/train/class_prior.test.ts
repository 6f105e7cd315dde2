/** The output layer's first biases: the classes' shares of the labelled voxels. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Device } from '../../engine/device.ts';
import { saveState } from '../../engine/nn/state.ts';
import { logClassShares } from '../../runner/train/class_prior.ts';
import { METHODS, trainConfig } from '../../runner/train/config.ts';
import { stagesOf } from '../../runner/train/methods.ts';
import { gpuTest, run } from '../harness.ts';
import { noiseCase } from './cases.ts';

const CASES = [noiseCase([18, 16, 17], 1), noiseCase([16, 20, 16], 2)];
const ACTION = { global: { bins: [1, 1, 1] }, local: { pool: 1, window: 4, stride: 4 } };

function first(device: Device, method: (typeof METHODS)[number], classPrior?: boolean) {
  const config = trainConfig({
    ...{ method, patch: [8, 8, 8], network: { channels: [4, 8], ...(classPrior !== undefined && { classPrior }) } },
    ...(method === 'action' && { action: ACTION }),
  });
  const [stage] = stagesOf(config);
  const unlabelled = CASES.map((of) => ({ ...of, label: null }));
  return stage.create({ device, labelled: CASES, unlabelled, classes: 2, offset: 0, initialise: true });
}

test('shares are counted over all labelled cases, and a class without a voxel counts as one', () => {
  const label = (...values: number[]) => ({ label: Uint8Array.from(values) });
  const shares = logClassShares([label(0, 0, 0, 0, 1), label(0, 1, 1)], 3).map(Math.exp);
  const expected = [5 / 9, 3 / 9, 1 / 9];
  assert.ok(
    expected.every((share, c) => Math.abs(shares[c] - share) < 1e-12),
    `${shares}`,
  );
});

for (const method of METHODS) {
  gpuTest(`${method}: every network's head starts at the shares, and at zero without them`, async (device) => {
    const shares = Float32Array.from(logClassShares(CASES, 2));
    for (const [classPrior, expected] of [
      [undefined, shares],
      [false, new Float32Array(2)],
    ] as const) {
      const trainer = await first(device, method, classPrior);
      const biases = [...(await saveState(trainer.state))].flatMap(([group, values]) =>
        /^(student|teacher|second)$/.test(group) ? [values.get('head.bias')?.data] : [],
      );
      const networks = method === 'supervised' ? 1 : 2;
      assert.equal(biases, new Array(networks).fill(expected));
      trainer.destroy();
    }
  });
}

gpuTest('the first loss is lower than with zeros where a class is rare', async (device) => {
  const ce: number[] = [];
  for (const classPrior of [true, false]) {
    const trainer = await first(device, 'supervised', classPrior);
    ce.push((await trainer.step(0)).ce);
    trainer.destroy();
  }
  assert.ok(ce[0] < ce[1], `${ce}`);
});

run();
