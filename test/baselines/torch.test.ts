/** Ten training steps of each baseline equal PyTorch's (test/fixtures/torch/baselines.py). */
import * as assert from 'uvu/assert';
import { maskedSoftmaxMse } from '../../engine/ops/masked_softmax_mse.ts';
import { checkOp, gpuTest, run, upload } from '../harness.ts';
import { totals } from '../nn/torch_run.ts';
import { dense } from '../reference/dense.ts';
import { scale } from '../reference/scale.ts';
import { baselineRun, metadata, type RunName, STEPS, tensors } from './torch_run.ts';

const get = (name: string) => {
  const found = tensors.get(name);
  assert.ok(found, `the fixture has no ${name}`);
  return found as NonNullable<typeof found>;
};

const LOGGED: Record<RunName, string[]> = {
  mean_teacher: ['loss', 'supervised', 'consistency', 'norm'],
  mean_teacher_adamw: ['loss', 'supervised', 'consistency', 'norm'],
  ua_mt: ['loss', 'supervised', 'consistency', 'certain', 'norm'],
  cps: ['loss', 'supervised', 'supervised_second', 'cross', 'norm', 'norm_second'],
};

for (const [name, keys] of Object.entries(LOGGED) as [RunName, string[]][]) {
  gpuTest(`${name}: ten losses, norms and final networks equal PyTorch's`, async (device) => {
    const { margin, float32Gap } = JSON.parse(metadata.runs)[name];
    assert.ok(margin > 1e-5 && float32Gap < 1e-6, 'a float32 implementation takes the same decisions');
    const { method, step } = await baselineRun(device, name);
    for (let i = 0; i < STEPS; i++) {
      const found = await step(i);
      for (const key of keys) {
        const theirs = get(`${name}.${key}`).data[i];
        assert.ok(theirs > 1e-3, `${key} ${i} says something`);
        const limit = key.startsWith('norm') ? 1e-4 : 1e-5;
        assert.ok(Math.abs(found[key] / theirs - 1) < limit, `${key} ${i}: ${found[key]}, PyTorch ${theirs}`);
      }
      assert.ok(Math.abs((found.ce + found.dice) / 2 - found.supervised) < 1e-6);
    }
    for (const [key, parameters] of Object.entries(method.networks)) {
      const [sum, squares] = await totals(parameters);
      const [theirSum, theirSquares] = get(`${name}.${key}`).data;
      assert.ok(Math.abs(squares / theirSquares - 1) < 1e-5, `${key}: ${squares}, PyTorch ${theirSquares}`);
      assert.ok(Math.abs(sum - theirSum) < 1e-4 * theirSquares, `${key}: ${sum}, PyTorch ${theirSum}`);
    }
  });
}

gpuTest("UA-MT's consistency alone equals PyTorch's, both ways", async (device) => {
  const certainty = {
    uncertainty: upload(device, get('masked/uncertainty'), 'uncertainty', { dense: true }),
    scalars: upload(device, dense([1], [0.5]), 'scalars', { dense: true }),
    index: 0,
  };
  const q = upload(device, get('masked/q'), 'target');
  await checkOp(device, 'masked', {
    inputs: { logits: get('masked/logits') },
    op: (rec, t) => maskedSoftmaxMse(rec, t.logits, q, certainty).loss,
    expected: dense([1], get('masked/loss').data),
    gradients: (dy) => ({ logits: scale(get('masked/dlogits'), dy.data[0]) }),
    gradientTolerance: { absolute: 1e-8 },
  });
});

run();
