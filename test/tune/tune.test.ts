/** Ways are checked, timed and remembered; a wrong one is never taken. */
import * as assert from 'uvu/assert';
import { Device } from '../../engine/device.ts';
import { conv3d } from '../../engine/ops/conv3d.ts';
import { CONV3D } from '../../engine/ops/conv3d_ways.ts';
import { compute } from '../../engine/program.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { createClock } from '../../runner/bench/clock.ts';
import { TUNABLES, type Tunable } from '../../runner/tune/tunables.ts';
import { type TuneRow, tune } from '../../runner/tune/tune.ts';
import { openTuning } from '../../runner/tune/tuning.ts';
import { assertClose } from '../compare.ts';
import { gpuTest, run, upload } from '../harness.ts';
import { random } from '../reference/dense.ts';
import { adapterOf, IDENTITY, memoryStore, oneProblem, PLAIN, record, withOther } from './parts.ts';

const never = (sentence: string) => assert.unreachable(sentence);

/** Tunes the one convolution; `tunables` and the store stand for those of a user. */
async function tuneOne(device: Device, tunables: readonly Tunable[] = TUNABLES, store = memoryStore(), more = {}) {
  const adapter = adapterOf(device);
  const tuning = await openTuning({ store, identity: IDENTITY, adapter, tunables }, never);
  const clock = createClock(device);
  const started: string[] = [];
  try {
    const rows = await tune(
      {
        ...{ device, clock, adapter, tuning, tunables, ...more },
        onStart: (shape) => started.push(shape),
        onRow: (_, found) => found && tuning.add([found]),
      },
      [oneProblem(device)],
    );
    return { row: rows[0] as TuneRow | undefined, tuning, store, adapter, started };
  } finally {
    clock.destroy();
  }
}

/** Convolves in vain many times before. */
const laborious = (times: number) =>
  withOther('laborious', (way) => (rec, problem) => {
    for (let i = 0; i < times; i++) way.record(rec, problem);
  });

gpuTest('the faster of two ways is found and stored, and a new Device takes it', async (device) => {
  const tunable = laborious(30);
  const [plain, slow] = tunable.choice.ways;
  const reversed = { ...tunable, choice: { ...tunable.choice, usual: () => [slow] } };
  const { row, store, adapter } = await tuneOne(device, [reversed]);
  assert.equal([row?.usual.way, row?.best.way, row?.tried, row?.serving], ['laborious', PLAIN, 2, 2]);
  assert.ok((row as TuneRow).best.ms < (row as TuneRow).usual.ms);

  const tuning = await openTuning({ store, identity: IDENTITY, adapter }, never);
  assert.equal(
    tuning.chosen().map(({ way }) => way),
    [PLAIN],
  );
  const told = new Device(device.gpu, { ...adapter, choose: tuning.choose });
  const forced = new Device(device.gpu, { ...adapter, choose: (op) => (op === CONV3D.op ? plain.name : undefined) });
  assert.is(record(told), record(forced));
  told.destroy();
  forced.destroy();
});

gpuTest('a way that is not faster leaves the usual one, and is known next time', async (device) => {
  const tunable = laborious(30);
  const { row, store, started } = await tuneOne(device, [tunable]);
  assert.equal([row?.best, started.length], [row?.usual, 1]);
  const again = await tuneOne(device, [tunable], store);
  assert.equal([again.row?.tried, again.started.length, again.tuning.chosen().length], [null, 0, 0]);
  const forced = await tuneOne(device, [tunable], store, { force: true });
  assert.is(forced.started.length, 1);
  // Another list of ways is another question.
  assert.is((await tuneOne(device, [withOther('another', (way) => way.record)], store)).started.length, 1);
});

gpuTest('all ways that serve are tried, and what is chosen computes the same', async (device) => {
  const { row, tuning, adapter } = await tuneOne(device);
  assert.equal(row?.wrong, []);
  const { tried, serving } = row as TuneRow;
  assert.ok((tried as number) >= 5 && (tried as number) <= (serving as number), `${tried} of ${serving}`);
  const [x, w] = [random([1, 8, 8, 8, 4], 1), random([3, 3, 3, 4, 4], 2)];
  const results: Float32Array[] = [];
  for (const choose of [undefined, tuning.choose]) {
    const told = new Device(device.gpu, { ...adapter, choose });
    const inputs = [upload(told, x, 'x', { grad: false }), upload(told, w, 'w', { grad: false })] as const;
    results.push((await compute(told, (rec) => ({ y: conv3d(rec, inputs[0], inputs[1], null, { padding: 1 }) }))).y);
    told.destroy();
  }
  const expected = { shape: [1, 8, 8, 8, 4], data: Float64Array.from(results[0]) };
  assertClose('the chosen way', results[1], expected, { terms: 108 });
});

gpuTest(
  'a way that computes something else, leaves something out or does not compile is named and not taken',
  async (device) => {
    const clearing = withOther('clearing', (way) => (rec, problem) => {
      way.record(rec, problem);
      rec.clear((problem as { y: Tensor }).y);
    });
    const idle = withOther('idle', () => () => undefined);
    for (const tunable of [clearing, idle]) {
      const { row, tuning } = await tuneOne(device, [tunable]);
      assert.equal([row?.best.way, row?.wrong.length, tuning.chosen()], [PLAIN, 1, []]);
      assert.match(row?.wrong[0].why ?? '', /direct x1 c1 and it differ by .* where .* is allowed/);
    }
    const broken = withOther('broken', (way) => (rec, problem) => {
      way.record(rec, problem);
      const last = rec.commands.findLast(({ kind }) => kind === 'dispatch');
      if (last?.kind !== 'dispatch') return;
      rec.commands.push({ ...last, kernel: { ...last.kernel, code: `${last.kernel.code}\nfn broken( {` } });
    });
    const { row } = await tuneOne(device, [broken]);
    assert.is(row?.best.way, PLAIN);
    assert.match(row?.wrong[0].why ?? '', /does not compile/);
  },
);

gpuTest('stopped, nothing is half known', async (device) => {
  const { row, store } = await tuneOne(device, [laborious(1)], memoryStore(), { signal: AbortSignal.abort() });
  assert.equal([row, store.text], [undefined, undefined]);
});

run();
