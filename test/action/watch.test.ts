/** Steps of both stages, watched: nothing is found in them, they change what the plain step changes, and a bad input is named. */
import * as assert from 'uvu/assert';
import type { StatePart } from '../../engine/nn/state.ts';
import { loadState, saveState } from '../../engine/nn/state.ts';
import { Program } from '../../engine/program.ts';
import type { Recording } from '../../engine/recording.ts';
import { watch } from '../../engine/watch.ts';
import { gpuTest, run } from '../harness.ts';
import { optionsOf as stage1Options, stage1Run } from './stage1_run.ts';
import { stage2Run } from './stage2_run.ts';

interface Run {
  recording: Recording;
  program: Program;
  stage: { state: readonly StatePart[] };
  submit(step: number): unknown;
}

/** Steps 0 to 2 as they are, then step 2 again from the same state, watched. */
async function checkWatched({ recording, program, stage, submit }: Run): Promise<void> {
  for (let i = 0; i < 2; i++) submit(i);
  const before = await saveState(stage.state);
  submit(2);
  const after = await saveState(stage.state);
  assert.not.equal(after, before);

  const { recording: watched, firstNonFinite } = watch(recording);
  const second = await Program.create(watched);
  const repeat = async () => {
    loadState(stage.state, before);
    second.run();
    return firstNonFinite(second);
  };
  assert.is(await repeat(), undefined);
  assert.equal(await saveState(stage.state), after);

  const [part, values] = [...before][0];
  const [name, { shape, data }] = [...values][0];
  before.set(part, new Map([...values, [name, { shape, data: data.map((v, i) => (i === 1 ? Infinity : v)) }]]));
  const found = await repeat();
  assert.equal([found?.tensor, found?.input], [name, true]);
  for (const p of [program, second]) p.destroy();
}

/** Small patches and cells of one voxel, as in the tests of the stages. */
for (const substage of ['1a', '1b'] as const) {
  gpuTest(`stage ${substage}`, async (device) => {
    const options = stage1Options(`run_${substage}`);
    const small = { ...options, local: { ...options.local, pool: 1 } };
    await checkWatched(await stage1Run(device, substage, small, [8, 8, 8]));
  });
}

for (const name of ['run_small', 'run_pairs'] as const) {
  gpuTest(`stage 2, ${name}`, async (device) => checkWatched(await stage2Run(device, name)));
}

run();
