/** `precision: mixed`: every method and stage learns as in float32, in about half the memory. */
import * as assert from 'uvu/assert';
import { unet3d } from '../../engine/nn/unet3d.ts';
import { METHODS, type Precision, trainConfig } from '../../runner/train/config.ts';
import { networkConfig } from '../../runner/train/stage.ts';
import { gpuTest, run } from '../harness.ts';
import { firstSteps, tinyConfig, tinyStages } from './tiny_stages.ts';

const SIZE = { channels: [8, 16] };

// Mean Teacher is UA-MT without its noisy passes.
for (const method of METHODS.filter((name) => name !== 'mean-teacher')) {
  gpuTest(`${method}: losses of float32 within 2 %, step memory at most three quarters`, async (device) => {
    const [full, mixed] = (['fp32', 'mixed'] as const).map((precision) => tinyStages(method, precision, SIZE));
    for (const [i, stage] of full.entries()) {
      const [a, b] = [await firstSteps(device, stage, 3), await firstSteps(device, mixed[i], 3)];
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
  const last = async (precision: Precision) => {
    const { losses } = await firstSteps(device, tinyStages('supervised', precision, SIZE)[0], 100);
    assert.ok(losses[0] > 0.3, `${precision} begins with ${losses[0]}`);
    return losses.slice(-20).reduce((sum, loss) => sum + loss / 20, 0);
  };
  const [full, mixed] = [await last('fp32'), await last('mixed')];
  assert.ok(full < 0.2 && Math.abs(mixed - full) < 0.1 * full, `mean of the last losses: ${mixed}, in float32 ${full}`);
});

gpuTest('a model of a mixed run says so on its card; ragged channels are refused', async () => {
  assert.is(networkConfig(tinyConfig('supervised', 'mixed', SIZE), 1, 2).storage, 'bf16');
  assert.is(networkConfig(tinyConfig('supervised', 'fp32', SIZE), 1, 2).storage, undefined);
  const ragged = trainConfig({ precision: 'mixed', network: { channels: [6, 8] } });
  assert.throws(
    () => unet3d(networkConfig(ragged, 1, 2)),
    /6 channels cannot be stored as bf16 \(precision mixed or matrix\); use multiples of 4/,
  );
});

run();
