/** Ten training steps of stage 2 equal PyTorch's (test/fixtures/torch/action_stage2.py). */
import * as assert from 'uvu/assert';
import type { Device } from '../../engine/device.ts';
import { gpuTest, run } from '../harness.ts';
import { totals } from '../nn/torch_run.ts';
import { type RunName, STEPS, stage2Run, tensors } from './stage2_run.ts';

const series = (name: string) => (tensors.get(name) as { data: Float64Array }).data;

async function compare(device: Device, name: RunName, passes: 'joint' | 'separate'): Promise<void> {
  const { stage, step } = await stage2Run(device, name, { passes });
  for (let i = 0; i < STEPS; i++) {
    const found = await step(i);
    for (const [key, ours, tolerance] of [
      ['losses', found.loss, 1e-4],
      ...(stage.options.stage2.supervisedBatch ? [['supervised', found.supervised, 1e-4] as const] : []),
      ['unsupervised', found.unsupervised, 1e-4],
      ['contrast', found.contrast, 1e-4],
      ['norms', found.norm, 1e-3],
    ] as const) {
      const theirs = series(`${name}.${key}`)[i];
      assert.ok(theirs > 0.01, `${key} ${i} says something`);
      const limit = i === 0 ? 1e-5 : tolerance;
      assert.ok(Math.abs(ours / theirs - 1) < limit, `${passes} passes, ${key} ${i}: ${ours}, PyTorch ${theirs}`);
    }
    assert.ok(found.confident > 0.01 && found.confident < 0.99);
  }
  for (const [key, parameters] of [
    ['weight', stage.student.network],
    ['teacher', stage.teacher],
  ] as const) {
    const [sum, squares] = await totals(parameters);
    const [theirSum, theirSquares] = series(`${name}.${key}`);
    assert.ok(Math.abs(squares / theirSquares - 1) < 1e-5, `${key}: ${squares}, PyTorch ${theirSquares}`);
    assert.ok(Math.abs(sum - theirSum) < 1e-4 * theirSquares, `${key}: ${sum}, PyTorch ${theirSum}`);
  }
}

for (const name of ['run_small', 'run_paper'] as const) {
  gpuTest(
    `${name}: ten losses, norms, student and teacher equal PyTorch's, from joint and separate passes`,
    async (device) => {
      for (const passes of ['joint', 'separate'] as const) await compare(device, name, passes);
    },
  );
}

gpuTest("run_pairs: mixed with labelled patches and nothing else, all equals PyTorch's", (device) =>
  compare(device, 'run_pairs', 'joint'),
);
gpuTest("run_pairs_beside: mixed with labelled patches beside the labelled batch, all equals PyTorch's", (device) =>
  compare(device, 'run_pairs_beside', 'separate'),
);

run();
