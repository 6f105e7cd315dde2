/** What a step of each baseline changes and what it leaves alone; replays, resuming, empty losses, memory. */
import * as assert from 'uvu/assert';
import type { Device } from '../../engine/device.ts';
import { emaDecay } from '../../engine/nn/schedule.ts';
import { loadState, type State, saveState } from '../../engine/nn/state.ts';
import { gpuTest, run } from '../harness.ts';
import { mappingsIn } from '../mappings.ts';
import { baselineRun, type Change, type Method } from './torch_run.ts';

type Run = Awaited<ReturnType<typeof baselineRun>>;
const METHODS: Method[] = ['mean_teacher', 'ua_mt', 'cps'];
const state = async ({ method }: Run): Promise<Record<string, unknown>> =>
  Object.fromEntries(await saveState(method.state));

/** Batch norm, dropout and noise of the device: everything that could differ from one run of a step to the next. */
const RANDOM: Change = {
  unet: { inChannels: 1, classes: 3, channels: [4, 8], norm: 'batch', dropout: 0.3 },
  drawn: true,
};

for (const [name, optimiser] of [
  ['mean_teacher', 'sgd'],
  ['ua_mt', 'sgd'],
  ['cps', 'sgd'],
  ['cps', 'adamw'],
] as const) {
  gpuTest(
    `${name}, ${optimiser}: replayed, resumed, built anew: the same bytes; no mapping in a step`,
    async (device) => {
      const change: Change = { ...RANDOM, options: { optimiser, passes: 2, rate: 0.01 } };
      const first = await baselineRun(device, name, change);
      assert.ok(first.recording.commands.every(({ kind }) => ['dispatch', 'copy', 'clear'].includes(kind)));
      const begin = await saveState(first.method.state);
      const mappings = await mappingsIn(first.program.bufferOf(first.method.log.loss), async () => {
        for (let i = 0; i < 2; i++) first.submit(i);
        await device.idle();
      });
      assert.is(mappings, 0);
      assert.is(
        await mappingsIn(
          first.program.bufferOf(first.method.log.loss),
          async () => void (await first.program.read(first.method.log.loss)),
        ),
        1,
      );
      const half = await saveState(first.method.state);
      const log = await first.step(2);
      for (const [key, value] of Object.entries(log)) assert.ok(Number.isFinite(value), `${key} is ${value}`);
      const straight = await state(first);

      loadState(first.method.state, begin);
      for (let i = 0; i < 3; i++) first.submit(i);
      assert.equal(await state(first), straight, 'replayed');

      const anew = await baselineRun(device, name, change);
      loadState(anew.method.state, half);
      assert.equal(await anew.step(2), log, 'resumed, the log');
      assert.equal(await state(anew), straight, 'resumed');
      const memory = optimiser === 'sgd' ? ['velocity'] : ['first', 'second'];
      const networks = name === 'cps' ? ['student', 'second'] : ['student', 'teacher'];
      const trained = name === 'cps' ? ['network', 'second'] : ['network'];
      assert.equal(Object.keys(straight), [
        ...networks,
        ...trained.flatMap((n) => memory.map((key) => `optimiser.${n}.${key}`)),
      ]);
    },
  );
}

/** Values of two groups of a state, side by side. */
function* pairs(a: State, groupA: string, b: State, groupB: string): Generator<[string, Float32Array, Float32Array]> {
  for (const [key, { data }] of a.get(groupA)!) yield [key, data, b.get(groupB)!.get(key)!.data];
}

const changed = (before: State, after: State, group: string): number =>
  [...pairs(before, group, after, group)].filter(([, a, b]) => a.some((v, i) => v !== b[i])).length;

for (const name of ['mean_teacher', 'ua_mt'] as const) {
  gpuTest(`${name}: the teacher follows the new student and no gradient`, async (device) => {
    const run = await baselineRun(device, name);
    assert.ok('teacher' in run.method.networks);
    assert.is(run.method.networks.teacher.flatGrad, undefined);
    run.submit(0);
    let before = await saveState(run.method.state);
    for (const [key, student, teacher] of pairs(before, 'student', before, 'teacher')) {
      assert.equal(teacher, student, `after step 0 it is the student: ${key}`);
    }
    for (const step of [1, 2]) {
      run.submit(step);
      const after = await saveState(run.method.state);
      assert.is(changed(before, after, 'student'), before.get('student')!.size);
      const decay = emaDecay(step, 0.7);
      for (const [key, old, teacher] of pairs(before, 'teacher', after, 'teacher')) {
        const student = after.get('student')!.get(key)!.data;
        teacher.forEach((v, i) => {
          const expected = decay * old[i] + (1 - decay) * student[i];
          if (Math.abs(v - expected) > 1e-6) assert.unreachable(`${key} ${i}: ${v}, expected ${expected}`);
        });
      }
      before = after;
    }
  });
}

/** Student, and second network if any, after one step. */
async function afterOneStep(device: Device, name: Method, change: Change, prepare: (run: Run) => void = () => {}) {
  const run = await baselineRun(device, name, change);
  prepare(run);
  const log = await run.step(5);
  const values = await saveState(run.method.state);
  run.program.destroy();
  return { log, values };
}

gpuTest('with weight 0 each takes the step of the others, supervised alone', async (device) => {
  const options = { weight: 0, nesterov: false, passes: 1 };
  const found = [];
  for (const name of METHODS) found.push(await afterOneStep(device, name, { options }));
  for (const { log, values } of found) {
    assert.is(log.supervised, found[0].log.supervised);
    for (const [key, a, b] of pairs(found[0].values, 'student', values, 'student')) assert.equal(b, a, key);
  }
  assert.is(found[0].log.loss, found[0].log.supervised);
  assert.ok(found[0].log.consistency > 0);
});

gpuTest('UA-MT with every voxel uncertain: a loss of exactly 0, and the supervised step to the bit', async (device) => {
  const supervised = await afterOneStep(device, 'ua_mt', { options: { weight: 0 } });
  assert.ok(supervised.log.certain > 0);
  const none = await afterOneStep(device, 'ua_mt', { options: { threshold: 0 } });
  const uniform = await afterOneStep(device, 'ua_mt', {}, ({ method }) => {
    assert.ok('teacher' in method.networks);
    const { teacher } = method.networks;
    // A head of zeros gives every class the probability 1/3.
    for (const parameter of ['head.weight', 'head.bias']) {
      const t = teacher.get(parameter);
      device.write(t, new Float32Array(t.shape.reduce((a, b) => a * b, 1)));
    }
  });
  for (const { log, values } of [none, uniform]) {
    assert.is(log.consistency, 0);
    assert.is(log.certain, 0);
    assert.is(log.loss, supervised.log.supervised);
    for (const [key, a, b] of pairs(supervised.values, 'student', values, 'student')) assert.equal(b, a, key);
  }
});

gpuTest('UA-MT: more passes hold no more activations; each draws noise and dropout of its own', async (device) => {
  const bytes: number[] = [];
  for (const passes of [2, 9]) {
    const { recording, program } = await baselineRun(device, 'ua_mt', { ...RANDOM, options: { passes } });
    bytes.push(recording.plan().bytes);
    const streams = (kernel: string) =>
      new Set(
        recording.commands.flatMap((c) =>
          c.kind === 'dispatch' && c.kernel.name === kernel ? [recording.params[c.paramsOffset / 256].join()] : [],
        ),
      ).size;
    assert.is(streams('gaussian_noise'), passes + 1);
    assert.is(streams('dropout'), passes + 2);
    program.destroy();
  }
  assert.is(bytes[1], bytes[0]);
});

gpuTest('CPS: the networks differ at first, and each learns from labels that the other gives', async (device) => {
  const run = await baselineRun(device, 'cps', RANDOM);
  const before = await saveState(run.method.state);
  const weights = [...pairs(before, 'student', before, 'second')].filter(([key]) =>
    /(conv|up|head)\.weight$/.test(key),
  );
  assert.ok(weights.length > 5 && weights.every(([, a, b]) => a.every((v, i) => v !== b[i])));

  // Without an unlabelled term the second network's update does not depend on the first's weights; with one it does.
  for (const [weight, depends] of [
    [0, false],
    [1, true],
  ] as const) {
    const change: Change = { options: { weight, ramp: 0, clip: 0 } };
    const a = await afterOneStep(device, 'cps', change);
    const b = await afterOneStep(device, 'cps', change, ({ method }) => {
      const t = method.networks.student.get('head.bias');
      device.write(t, [3, -3, 0]);
    });
    const same = [...pairs(a.values, 'second', b.values, 'second')].every(([, x, y]) => x.every((v, i) => v === y[i]));
    assert.is(same, !depends);
  }
});

gpuTest('what a method made is freed by destroy; the student is left', async (device) => {
  for (const name of METHODS) {
    const run = await baselineRun(device, name, { options: { passes: 1 } });
    run.program.destroy();
    const { student } = run.method.networks;
    const others = Object.values(run.inputs).flat();
    run.method.destroy();
    for (const t of others) device.destroyTensor(t);
    assert.is(device.bytesHeld, student.bytes, name);
    student.destroy();
    assert.is(device.bytesHeld, 0);
  }
});

run();
