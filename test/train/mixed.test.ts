/** `precision: mixed`: every method and stage learns as in float32, in about half the memory. */
import * as assert from 'uvu/assert';
import type { Device } from '../../engine/device.ts';
import { unet3d } from '../../engine/nn/unet3d.ts';
import { syntheticCase } from '../../runner/bench/synthetic.ts';
import { METHODS, type TrainConfig, trainConfig } from '../../runner/train/config.ts';
import { stagesOf } from '../../runner/train/methods.ts';
import { networkConfig, type Stage } from '../../runner/train/stage.ts';
import { gpuTest, run } from '../harness.ts';

const SIZE = { patch: [8, 16, 16], batch: 2, network: { channels: [8, 16] } };
const TINY_ACTION = {
  global: { bins: [2, 2, 2], bankStart: 'gaussian' },
  local: { pool: 1, window: 4, stride: 4, bankStart: 'gaussian' },
};

function configOf(method: (typeof METHODS)[number], precision: TrainConfig['precision']): TrainConfig {
  return trainConfig({ method, precision, steps: 1200, ...SIZE, ...(method === 'action' && { action: TINY_ACTION }) });
}

/** Losses of the first steps of a stage, and the bytes that it holds. */
async function steps(device: Device, stage: Stage, count: number) {
  const cases = {
    labelled: [1, 2].map((seed) => syntheticCase([10, 20, 20], seed, true)),
    unlabelled: [3, 4].map((seed) => syntheticCase([10, 20, 20], seed, false)),
  };
  const trainer = await stage.create({ ...cases, classes: 2, offset: 0, device, initialise: true });
  try {
    const losses: number[] = [];
    for (let step = 0; step < count; step++) losses.push((await trainer.step(step)).loss as number);
    return { losses, bytes: trainer.memory.step };
  } finally {
    trainer.destroy();
  }
}

// Mean Teacher is UA-MT without its noisy passes.
for (const method of METHODS.filter((name) => name !== 'mean-teacher')) {
  gpuTest(`${method}: losses of float32 within 2 %, step memory at most three quarters`, async (device) => {
    const [full, mixed] = (['fp32', 'mixed'] as const).map((precision) => stagesOf(configOf(method, precision)));
    for (const [i, stage] of full.entries()) {
      const [a, b] = [await steps(device, stage, 3), await steps(device, mixed[i], 3)];
      assert.ok(b.bytes < 0.75 * a.bytes, `stage ${stage.name}: ${b.bytes} of ${a.bytes} bytes`);
      assert.not.equal(b.losses, a.losses, 'rounding must show somewhere');
      a.losses.forEach((loss, step) => {
        const message = `stage ${stage.name}, step ${step}: ${b.losses[step]}, in float32 ${loss}`;
        assert.ok(Math.abs(b.losses[step] - loss) < 0.02 * Math.abs(loss), message);
      });
    }
  });
}

gpuTest('over 100 steps a mixed run learns what a float32 run learns', async (device) => {
  const last = async (precision: TrainConfig['precision']) => {
    const { losses } = await steps(device, stagesOf(configOf('supervised', precision))[0], 100);
    assert.ok(losses[0] > 0.3, `${precision} begins with ${losses[0]}`);
    return losses.slice(-20).reduce((sum, loss) => sum + loss / 20, 0);
  };
  const [full, mixed] = [await last('fp32'), await last('mixed')];
  assert.ok(full < 0.2 && Math.abs(mixed - full) < 0.1 * full, `mean of the last losses: ${mixed}, in float32 ${full}`);
});

gpuTest('a model of a mixed run says so on its card; ragged channels are refused', async () => {
  assert.is(networkConfig(configOf('supervised', 'mixed'), 1, 2).storage, 'bf16');
  assert.is(networkConfig(configOf('supervised', 'fp32'), 1, 2).storage, undefined);
  const ragged = trainConfig({ precision: 'mixed', network: { channels: [6, 8] } });
  assert.throws(
    () => unet3d(networkConfig(ragged, 1, 2)),
    /6 channels cannot be stored as bf16 \(precision mixed or matrix\); use multiples of 4/,
  );
});

run();
