/** Ways are checked, timed and remembered; a wrong one is never taken. */
import * as assert from 'uvu/assert';
import { Device } from '../../engine/device.ts';
import { dryGpu } from '../../engine/dry_gpu.ts';
import { conv3d } from '../../engine/ops/conv3d.ts';
import { CONV3D, CONV3D_GRAD_WEIGHT } from '../../engine/ops/conv3d_ways.ts';
import type { Convolution, WeightGradient } from '../../engine/ops/convolution.ts';
import { compute } from '../../engine/program.ts';
import { Recording } from '../../engine/recording.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { type Way, wayFor } from '../../engine/ways.ts';
import { type Clock, createClock } from '../../runner/bench/clock.ts';
import { dataOf } from '../../runner/tune/problem_data.ts';
import { shaderHash, textHash } from '../../runner/tune/shader_hash.ts';
import { createTrial } from '../../runner/tune/trial.ts';
import { TUNABLES, type Tunable } from '../../runner/tune/tunables.ts';
import { type TuneRow, tune } from '../../runner/tune/tune.ts';
import { openTuning } from '../../runner/tune/tuning.ts';
import { assertClose } from '../compare.ts';
import { gpuTest, run, upload } from '../harness.ts';
import { emulated, UNLIKE } from '../ops/matrix_emulation.ts';
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
  assert.equal([again.row?.tried, again.started.length], [null, 0]);
  assert.equal(
    again.tuning.chosen().map(({ way }) => way),
    [row?.usual.way],
    'the usual one is a choice too',
  );
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
      assert.equal([row?.best.way, row?.wrong.length, tuning.chosen().map(({ way }) => way)], [PLAIN, 1, [PLAIN]]);
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

gpuTest(
  'a trial times what a way records and nothing else, wherever that ends up',
  async (device) => {
    const [x, w] = [device.tensor([1, 8, 8, 8, 16], 'x'), device.tensor([3, 3, 3, 16, 16], 'w')];
    const y = device.tensor([1, 8, 8, 8, 16], 'y', { data: new Float32Array(8 ** 3 * 16).fill(7) });
    const geometry = { kernel: [3, 3, 3], stride: [1, 1, 1], padding: [1, 1, 1], products: 'f16' } as const;
    const problem: Convolution = { ...geometry, x, w, y, transpose: false, flip: false };
    const way = wayFor(device, CONV3D, problem) as Way<unknown>;
    assert.match(way.name, /^matrix/);
    const trial = await createTrial(device, way, problem, y);
    const parts: unknown[] = [];
    const measure: Clock['measure'] = async (_, part) => {
      parts.push(part);
      return { ms: 1, wallMs: 1 };
    };
    await trial.time({ kind: 'wall clock', measure, destroy: () => undefined }, 5);
    assert.equal([trial.commands, parts], [2, [{ times: 5 }]]);
    assert.ok((await trial.result()).every((value) => value === 0));
    trial.destroy();

    const idle = await createTrial(device, { ...way, record: () => undefined }, problem, y);
    device.writeStored(y, new Float32Array(8 ** 3 * 16).fill(7));
    assert.ok(
      (await idle.result()).every((value) => value === 0),
      'what was there before is no result',
    );
    idle.destroy();
  },
  { software: false, matrixUnit: UNLIKE, wrap: (gpu) => emulated(gpu, UNLIKE) },
);

gpuTest('the checksum of a way covers the shaders of what it leaves to a batch', async (device) => {
  const dry = new Device(dryGpu(device.limits), { software: false });
  const volume = dry.tensor([1, 4, 4, 4, 8], 'volume');
  const dw = dry.tensor([3, 3, 3, 8, 8], 'dw');
  const geometry = { kernel: [3, 3, 3], stride: [1, 1, 1], padding: [1, 1, 1] } as const;
  const problem: WeightGradient = { ...geometry, x: volume, dy: volume, dw };
  const way = wayFor(dry, CONV3D_GRAD_WEIGHT, problem) as Way<unknown>;
  const rec = new Recording(dry, 'gradient');
  way.record(rec, problem);
  rec.plan();
  const codes = rec.commands.flatMap((command) => (command.kind === 'dispatch' ? [command.kernel.code] : []));
  assert.is(codes.length, 2);
  assert.is(shaderHash(dry, way, dataOf(problem)), textHash(codes.join('\n')));
});

gpuTest('stopped, nothing is half known', async (device) => {
  const { row, store } = await tuneOne(device, [laborious(1)], memoryStore(), { signal: AbortSignal.abort() });
  assert.equal([row, store.text], [undefined, undefined]);
});

run();
