/**
 * `precision: matrix` as trainings see it, on an adapter taken to have no matrix units, where products are those of 'mixed': the loss
 * scale's bytes, state, log, skipped steps and faults.
 */
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { Device } from '../../engine/device.ts';
import { NumericError, UsageError } from '../../engine/errors.ts';
import type { ParameterValues } from '../../engine/nn/parameters.ts';
import { loadState, type State, saveState } from '../../engine/nn/state.ts';
import { type Checkpoint, decodeCheckpoint, encodeCheckpoint } from '../../runner/train/checkpoint.ts';
import { METHODS, type Method, type Precision, trainConfig } from '../../runner/train/config.ts';
import { trainLoop } from '../../runner/train/loop.ts';
import { assertPrecision, networkConfig } from '../../runner/train/stage.ts';
import type { Trainer } from '../../runner/train/trainer.ts';
import { inFolder } from '../data/corpus.ts';
import { gpuTest, run, traits } from '../harness.ts';
import { resultOf, startTraining, tinyDataset } from './tiny_run.ts';
import { tinyStages, tinyTrainer } from './tiny_stages.ts';

const stages = (method: Method, precision: Precision) => tinyStages(method, precision, { channels: [4, 8] });

/** A test on this adapter without its matrix units. */
function bareTest(name: string, body: (device: Device) => Promise<void>): void {
  gpuTest(name, body, { ...traits, matrixUnit: undefined });
}

/** Bytes of scale and steps. */
const SCALE_BYTES = 32;

// Mean Teacher is UA-MT without its noisy passes.
for (const method of METHODS.filter((name) => name !== 'mean-teacher')) {
  bareTest(
    `${method}: results of mixed to the bit, with a scale that is reported, planned and saved`,
    async (device) => {
      const mixed = stages(method, 'mixed');
      for (const [i, stage] of stages(method, 'matrix').entries()) {
        const [with_, without] = [await tinyTrainer(device, stage), await tinyTrainer(device, mixed[i])];
        for (const step of [0, 1]) {
          const { loss_scale, skipped, ...rest } = await with_.step(step);
          assert.equal(rest, await without.step(step), `stage ${stage.name}, step ${step}`);
          assert.equal([loss_scale, skipped], [2 ** 16, 0]);
        }
        assert.is(with_.commands, without.commands);
        assert.is(with_.memory.parameters, without.memory.parameters + SCALE_BYTES);
        const groups = (trainer: Trainer) => trainer.state.map(({ name }) => name).sort();
        assert.equal(groups(with_), [...groups(without), 'loss_scale'].sort());
        const planned = with_.memory.total + without.memory.total;
        assert.is(device.bytesHeld, planned);
        with_.destroy();
        without.destroy();
        assert.is(device.bytesHeld, 0);
      }
    },
  );
}

/** The student's head so far off that gradients overflow float32 at a loss scale above about 1e19 / `factor`. */
function overflowing(state: State, factor: number): State {
  const student = new Map(state.get('student') as ParameterValues);
  const { shape, data } = student.get('head.weight') as { shape: readonly number[]; data: Float32Array };
  student.set('head.weight', { shape, data: data.map((v) => v * factor) });
  return new Map([...state, ['student', student]]);
}

const asSaved = (state: State, step: number): State => {
  const rest = { hash: '', data: '', stage: 'supervised', best: null };
  return decodeCheckpoint(encodeCheckpoint({ ...rest, step, groups: state as Checkpoint['groups'] }), 'checkpoint')
    .groups;
};

bareTest('a training resumed between skipped steps goes on to the bit', async (device) => {
  const [stage] = stages('supervised', 'matrix');
  const whole = await tinyTrainer(device, stage);
  loadState(whole.state, overflowing(await saveState(whole.state), 1e17));
  const results: Record<string, number>[] = [];
  for (const step of [0, 1, 2]) results.push(await whole.step(step));
  const resumed = await tinyTrainer(device, stage);
  loadState(resumed.state, asSaved(await saveState(whole.state), 3));
  for (let step = 3; step < 16; step++) {
    results.push(await whole.step(step));
    assert.equal(await resumed.step(step), results[step], `step ${step}`);
  }
  assert.equal(await saveState(resumed.state), await saveState(whole.state));
  assert.equal([results[2].skipped, results[2].loss_scale, results[2].norm], [3, 2 ** 13, 0]);
  const { skipped, norm } = results[15];
  assert.ok(skipped > 3 && skipped < 16 && norm > 0, `${skipped} of 16 steps skipped, the last norm is ${norm}`);
});

bareTest(
  'an overflow that scaling is not to blame for stops the run with code 6; the steps before are no fault',
  async (device) => {
    const [stage] = stages('supervised', 'matrix');
    const trainer = await tinyTrainer(device, stage);
    const start = overflowing(await saveState(trainer.state), 1e25);
    loadState(trainer.state, start);
    const seen: Record<string, number>[] = [];
    const events = {
      onVolume: () => undefined,
      onStep: (_: number, losses: Readonly<Record<string, number>>) => seen.push(losses),
      checkpoint: async () => undefined,
      validate: async () => undefined,
      shouldStop: () => false,
    };
    const options = { from: 0, offset: 0, steps: 40, checkpointEvery: 100, validateEvery: 0 };
    try {
      await trainLoop(trainer, options, events, { host: 0, waiting: 0, steps: 0 });
      assert.unreachable('the run went on');
    } catch (failure) {
      assert.instance(failure, NumericError);
      assert.is((failure as NumericError).exitCode, 6);
      assert.match((failure as Error).message, /^'norm' became (NaN|-?Infinity) at step 17;/);
    }
    assert.equal(
      seen.map(({ skipped, norm }) => [skipped, norm]),
      Array.from({ length: 16 }, (_, i) => [i + 1, 0]),
    );
    loadState(trainer.state, start);
    const found = await trainer.firstNonFinite(0, 17);
    assert.is(found?.step, 16, found?.found);
    assert.match(found?.found ?? '', /is the first to hold a NaN or an infinity/);
  },
);

gpuTest('networks of every precision; matrix without matrix units is refused, with the way out', async (device) => {
  const config = (precision: Precision) => {
    const { storage, products } = networkConfig(trainConfig({ precision }), 1, 2);
    return [storage, products];
  };
  assert.equal(
    [config('fp32'), config('mixed'), config('matrix')],
    [
      [undefined, undefined],
      ['bf16', undefined],
      ['bf16', 'f16'],
    ],
  );
  const none = { matrixUnit: undefined };
  assert.throws(
    () => assertPrecision(none, 'matrix', 'some adapter'),
    (failure: Error) =>
      failure instanceof UsageError &&
      /subgroup-matrix\), and some adapter does not; use --precision mixed$/.test(failure.message),
  );
  for (const precision of ['fp32', 'mixed'] as const) assertPrecision(none, precision);
  assertPrecision({ matrixUnit: device.matrixUnit ?? { m: 8, n: 8, k: 8, subgroup: 32 } }, 'matrix');
});

gpuTest(
  'train --precision matrix: a sentence where there are no matrix units; else SIGKILL changes nothing',
  ({ matrixUnit }) =>
    inFolder(async (folder) => {
      const data = await tinyDataset(folder);
      const [whole, killed] = [join(folder, 'whole'), join(folder, 'killed')];
      const flags = ['--precision', 'matrix', '--set', 'network.channels=[8,16]'];
      const first = startTraining(data, whole, flags);
      if (!matrixUnit) {
        const { code, err } = await first.ended;
        assert.is(code, 2, err);
        assert.match(err, /^error: precision matrix needs .*; use --precision mixed$/m);
        return;
      }
      assert.is((await first.ended).code, 0, (await first.ended).err);
      const second = startTraining(data, killed, flags);
      await second.says(/ 12\/24 /);
      second.kill('SIGKILL');
      await second.ended;
      const last = await startTraining(data, killed, flags).ended;
      assert.is(last.code, 0, last.err);
      assert.match(last.err, /continuing after step/);
      assert.equal(await resultOf(killed), await resultOf(whole));
    }),
);

run();
