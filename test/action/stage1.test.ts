/** Stage 1 against PyTorch over ten steps, and what must and must not change in a step. */
import * as assert from 'uvu/assert';
import { gpuTest, run } from '../harness.ts';
import { totals } from '../nn/torch_run.ts';
import type { Dense } from '../reference/dense.ts';
import { optionsOf, stage1Run, tensors } from './stage1_run.ts';

const STEPS = 12;
const recorded = (key: string): Dense => tensors.get(key) as Dense;

for (const name of ['run_1a', 'run_1b', 'run_1b_published']) {
  gpuTest(`${name}: ten losses, their parts, cosines and norms equal PyTorch's`, async (device) => {
    const options = optionsOf(name);
    const { step, networks } = await stage1Run(device, options.stage, options);
    const check = (label: string, actual: number, expected: number, tolerance: number) =>
      assert.ok(
        Math.abs(actual - expected) <= tolerance * Math.max(1, Math.abs(expected)),
        `${label}: ${actual}, PyTorch ${expected}`,
      );
    for (let i = 0; i < STEPS; i++) {
      const found = await step(i);
      const want = (key: string) => recorded(`${name}.${key}`).data[i];
      check(`loss ${i}`, found.loss, want('losses'), 1e-4);
      check(`norm ${i}`, found.norm, want('norms'), 1e-3);
      // PyTorch logs no cosine while its bank fills.
      for (const key of Object.keys(found).filter((k) => /^(supervised|global|local)/.test(k)))
        if (i > 1 || !key.endsWith('cosine')) check(`${key} ${i}`, found[key], want(key), 1e-4);
    }
    for (const [key, parameters] of [
      ['weight', networks.student.network],
      ['teacher', networks.teacher.network],
    ] as const) {
      const [sum, squares] = await totals(parameters);
      const [wantedSum, wantedSquares] = recorded(`${name}.${key}`).data;
      const spread = Math.sqrt(wantedSquares);
      check(`sum of ${key}`, sum / spread, wantedSum / spread, 1e-3);
      check(`squares of ${key}`, squares, wantedSquares, 1e-4);
    }
  });
}

run();
