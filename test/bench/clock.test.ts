/** Peaks and time: the loops compute what they say, and a time is that of one run. */
import * as assert from 'uvu/assert';
import { compute, Program } from '../../engine/program.ts';
import { Recording } from '../../engine/recording.ts';
import { type Clock, createClock, effortFor, timePart } from '../../runner/bench/clock.ts';
import { measurePeaks } from '../../runner/bench/peaks.ts';
import { copyKernel } from '../../shaders/copy.wgsl.ts';
import { FMA_UNROLL, fmaLoopKernel } from '../../shaders/fma_loop.wgsl.ts';
import { gpuTest, run } from '../harness.ts';
import { random } from '../reference/dense.ts';

gpuTest('the arithmetic loop does every multiply-add', async (device) => {
  for (const fused of [true, false])
    for (const chains of [2, 3]) {
      const [threads, rounds, factor, summand] = [5, 3, 1.0625, 0.25];
      const { y } = await compute(device, (rec) => {
        const sums = rec.tensor([threads, 4], 'y');
        rec.dispatch(
          fmaLoopKernel({ chains, fused }),
          { y: sums },
          { count: threads, rounds, factor, summand },
          threads,
        );
        return { y: sums };
      });
      for (let i = 0; i < threads; i++) {
        let a = i / 2 ** 20;
        for (let n = 0; n < rounds * FMA_UNROLL; n++) a = a * factor + summand;
        for (const value of y.subarray(4 * i, 4 * i + 4))
          assert.ok(Math.abs(value / (chains * a) - 1) < 1e-5, `${value}`);
      }
    }
});

gpuTest('the copy copies', async (device) => {
  const values = random([7 * 3, 4], 1).data;
  const x = device.tensor([7 * 3, 4], 'x', { data: values });
  const { y } = await compute(device, (rec) => {
    const copy = rec.tensor([7 * 3, 4], 'y');
    rec.dispatch(copyKernel(3), { x, y: copy }, { threads: 7 }, 7);
    return { y: copy };
  });
  assert.equal([...y], [...values]);
});

gpuTest('peaks are numbers above 0, and leave nothing behind', async (device) => {
  const clock = createClock(device);
  const peaks = await measurePeaks(device, clock, { ...effortFor(true), budgetMs: 0 });
  for (const value of Object.values(peaks)) assert.ok(value > 0 && Number.isFinite(value));
  clock.destroy();
  assert.is(device.bytesHeld, 0);
});

gpuTest('timestamps are taken where there are any, and are not longer than the wait', async (device) => {
  const rec = new Recording(device, 'timed');
  const y = rec.tensor([4096, 4], 'y');
  const params = { count: 4096, rounds: 64, factor: 0.5, summand: 0.5 };
  rec.dispatch(fmaLoopKernel({ chains: 2, fused: true }), { y }, params, 4096);
  const program = await Program.create(rec);
  const [clock, wall] = [createClock(device), createClock(device, { timestamps: false })];
  assert.is(clock.kind, device.gpu.features.has('timestamp-query') ? 'timestamps' : 'wall clock');
  assert.is(wall.kind, 'wall clock');
  for (const one of [clock, wall]) {
    const { ms, wallMs } = await one.measure(program, { times: 3 });
    assert.ok(ms > 0 && ms <= wallMs, `${ms} ${wallMs}`);
    one.destroy();
  }
  program.destroy();
  assert.throws(() => program.encoded(), /was destroyed and cannot be encoded/);
});

gpuTest('a time is one run of many in a submit; runs are as many as make a sample long enough', async (device) => {
  const program = {} as Program;
  const asked: number[] = [];
  const clock = (msEach: number): Clock => ({
    kind: 'timestamps',
    async measure(_, part) {
      const times = part?.times ?? 1;
      asked.push(times);
      return { ms: times * msEach, wallMs: times * msEach + 1 };
    },
    destroy: () => undefined,
  });
  const effort = { sampleMs: 30, samples: 5, budgetMs: Infinity };
  assert.equal(await timePart(clock(2), program, { from: 0, to: 1 }, effort), {
    ms: 2,
    aloneMs: 3,
    runs: 10,
    samples: 5,
  });
  assert.equal(asked, [1, 1, 1, 10, 10, 10, 10, 10]);
  const slow = await timePart(clock(100), program, { from: 0, to: 1 }, { ...effort, budgetMs: -1 });
  assert.equal([slow.runs, slow.samples, slow.ms], [1, 3, 100]);
  const long = await timePart(clock(0.001), program, { from: 0, to: 5000 }, { ...effort, sampleMs: 1000 });
  assert.is(long.runs, 4, 'a submit has no more than 20,000 commands');
  assert.is(device.bytesHeld, 0);
});

run();
