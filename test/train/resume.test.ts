/** A run that was interrupted, however it was, ends with the bytes of one that was not. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Stream } from '../../engine/random.ts';
import { decodeCheckpoint } from '../../runner/train/checkpoint.ts';
import { RUN_FILES } from '../../runner/train/run_store.ts';
import { inFolder } from '../data/corpus.ts';
import { run } from '../harness.ts';
import { resultOf, startTraining, tinyDataset, trainHere } from './tiny_run.ts';

const STEPS = 24;

async function savedStep(folder: string): Promise<number> {
  return decodeCheckpoint(await readFile(join(folder, RUN_FILES.latest)), 'latest').step;
}

test('equal runs give equal bytes; SIGKILL at random steps changes nothing', () =>
  inFolder(async (folder) => {
    const data = await tinyDataset(folder);
    const whole = join(folder, 'whole');
    assert.is(await trainHere(data, whole), 0);
    const expected = await resultOf(whole);
    assert.is(await savedStep(whole), STEPS);

    const seed = Date.now() % 2 ** 32;
    const draws = new Stream(seed, 0);
    const killed = join(folder, 'killed');
    const steps: number[] = [];
    for (let first = 1; first < STEPS - 2 && steps.length < 2; ) {
      const step = first + draws.integer(STEPS - 2 - first);
      const training = startTraining(data, killed);
      await training.says(new RegExp(` (${step}|${step + 1}|${step + 2})/${STEPS} `));
      training.kill('SIGKILL');
      const { signal } = await training.ended;
      assert.is(signal, 'SIGKILL', `kills drawn from ${seed}`);
      steps.push(step);
      first = step + 1;
    }
    const last = await startTraining(data, killed).ended;
    assert.is(last.code, 0, last.err);
    assert.equal(await resultOf(killed), expected, `killed after steps ${steps.join(' and ')}, drawn from ${seed}`);

    const other = join(folder, 'other');
    assert.is(await trainHere(data, other, { seed: 1 }), 0);
    assert.not.equal((await resultOf(other))[RUN_FILES.weights], expected[RUN_FILES.weights]);
  }));

test('Ctrl-C finishes the step, saves and exits 75; twice exits 130; both continue to the same bytes', () =>
  inFolder(async (folder) => {
    const data = await tinyDataset(folder);
    const whole = join(folder, 'whole');
    assert.is(await trainHere(data, whole), 0);

    const stopped = join(folder, 'stopped');
    const once = startTraining(data, stopped);
    await once.says(/ 3\/24 /);
    once.kill('SIGINT');
    const { code, out, err } = await once.ended;
    assert.is(code, 75, err);
    assert.match(err, /^finishing the step, then saving/m);
    assert.match(out, /^stopped after \d+ of 24 steps, saved in .*; start the same command again to continue$/m);
    const after = await savedStep(stopped);
    assert.is(Number(/stopped after (\d+)/.exec(out)?.[1]), after);
    assert.ok(after >= 3 && after < STEPS, String(after));

    const twice = startTraining(data, stopped, ['--set', 'checkpointEvery=1000']);
    await twice.says(/continuing after step/);
    twice.kill('SIGINT');
    await twice.says(/finishing the step/);
    twice.kill('SIGINT');
    assert.is((await twice.ended).code, 130);
    assert.is(await savedStep(stopped), after);

    assert.is(await trainHere(data, stopped), 0);
    assert.equal(await resultOf(stopped), await resultOf(whole));
  }));

run();
