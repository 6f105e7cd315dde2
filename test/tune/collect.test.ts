/** The problems of a network, found without allocating any of them. */
import * as assert from 'uvu/assert';
import { stepConfig } from '../../runner/bench/synthetic.ts';
import type { Method } from '../../runner/train/config.ts';
import { networkProblems } from '../../runner/tune/network_problems.ts';
import { problemOf } from '../../runner/tune/problem_data.ts';
import { gpuTest, run } from '../harness.ts';
import { adapterOf } from './parts.ts';

const config = (method: Method) => stepConfig(method, { patch: [8, 8, 8], batch: 2, channels: [4, 8] });
const data = { inChannels: 1, classes: 2 };

function uses(found: readonly { op: string; uses: number }[], op: string): number {
  return found.filter((item) => item.op === op).reduce((sum, item) => sum + item.uses, 0);
}

gpuTest("a U-Net's training step and window: every convolution, forward and backward", async (device) => {
  const adapter = adapterOf(device);
  const found = await networkProblems(adapter, [config('supervised')], data);
  // Two levels of two blocks, two blocks on the way up, a head: 7 convolutions, and one transposed one.
  // GPUs leave the skip and what comes up apart: gradients of either.
  const joined = device.software ? 1 : 2;
  const [forward, window, gradInput, gradWeight] = [7, 7, 5 + joined, 6 + joined];
  assert.is(uses(found, 'conv3d'), forward + window + gradInput + 1);
  assert.is(uses(found, 'conv3d_grad_weight'), gradWeight + 1);
  const keys = found.map(({ op, key }) => `${op} ${key}`);
  assert.is(new Set(keys).size, keys.length);
  assert.ok(keys.includes('conv3d k3x3x3 s1x1x1 c1->4 v10'), keys.join(', '));

  const mixed = await networkProblems(adapter, [{ ...config('supervised'), precision: 'mixed' }], data);
  assert.ok(mixed.some(({ key }) => key === 'k3x3x3 s1x1x1 c4->4 v10 bf16->bf16'));
  assert.is(uses(mixed, 'conv3d'), uses(found, 'conv3d'));

  const action = await networkProblems(adapter, [config('action')], data);
  assert.ok(uses(action, 'conv3d') > 3 * forward && action.length > found.length);
  const both = await networkProblems(adapter, [config('supervised'), config('action')], data);
  assert.is(uses(both, 'conv3d'), uses(found, 'conv3d') + uses(action, 'conv3d'));
  assert.is(device.bytesHeld, 0);
});

gpuTest('a problem survives JSON, tensors and all', async (device) => {
  const adapter = adapterOf(device);
  const [{ problem }] = await networkProblems(adapter, [config('supervised')], data);
  const back = problemOf<{ x: { shape: number[]; dtype: string }; kernel: number[]; flip: boolean }>(
    JSON.parse(JSON.stringify(problem)),
    (shape, label, options) => device.tensor(shape, label, options),
  );
  assert.equal([back.x.shape, back.x.dtype, back.kernel, back.flip], [[2, 8, 8, 8, 1], 'f32', [3, 3, 3], false]);
});

run();
