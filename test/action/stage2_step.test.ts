/** What a step of stage 2 changes and what it leaves alone; replays, resuming, empty losses, options left out. */
import * as assert from 'uvu/assert';
import type { Stage2Options } from '../../engine/action/options.ts';
import { stage2Scalars } from '../../engine/action/stage2_parts.ts';
import type { Device } from '../../engine/device.ts';
import type { ParameterValues } from '../../engine/nn/parameters.ts';
import { loadState, saveState } from '../../engine/nn/state.ts';
import { gpuTest, run } from '../harness.ts';
import { mappingsIn } from '../mappings.ts';
import { optionsOf, type RunName, stage2Run } from './stage2_run.ts';

type Run = Awaited<ReturnType<typeof stage2Run>>;
const state = async ({ stage }: Run) => Object.fromEntries(await saveState(stage.state));

gpuTest('replays, a resumed run and a run built anew agree to the bit; nothing is mapped in a step', async (device) => {
  for (const name of ['run_small', 'run_paper', 'run_pairs'] as RunName[]) {
    const first = await stage2Run(device, name);
    assert.ok(first.recording.commands.every(({ kind }) => ['dispatch', 'copy', 'clear'].includes(kind)));
    const begin = await saveState(first.stage.state);
    const mappings = await mappingsIn(first.program.bufferOf(first.log.loss), async () => {
      for (let i = 0; i < 2; i++) first.submit(i);
      await device.idle();
    });
    assert.is(mappings, 0);
    assert.is(
      await mappingsIn(
        first.program.bufferOf(first.log.loss),
        async () => void (await first.program.read(first.log.loss)),
      ),
      1,
    );
    const half = await saveState(first.stage.state);
    first.submit(2);
    const straight = await state(first);

    loadState(first.stage.state, begin);
    for (let i = 0; i < 3; i++) first.submit(i);
    assert.equal(await state(first), straight, `${name} replayed`);

    const anew = await stage2Run(device, name);
    loadState(anew.stage.state, half);
    anew.submit(2);
    assert.equal(await state(anew), straight, `${name} resumed`);
    half.delete('head');
    assert.throws(() => loadState(anew.stage.state, half), /no 'head', which this training needs/);
    for (const { program } of [first, anew]) program.destroy();
  }
});

const changed = (before: ParameterValues, after: ParameterValues): string[] =>
  [...before].filter(([name, { data }]) => data.some((v, i) => v !== after.get(name)?.data[i])).map(([name]) => name);

const ONLY_MEAN = 'the teacher moves by 1 - m towards the new student and by no gradient; the head learns';
for (const name of ['run_small', 'run_pairs'] as const) {
  gpuTest(`${name}: ${ONLY_MEAN}`, (device) => teacherIsMean(device, name));
}

async function teacherIsMean(device: Device, name: RunName): Promise<void> {
  const run = await stage2Run(device, name);
  assert.is(run.stage.teacher.flatGrad, undefined);
  const before = await saveState(run.stage.state);
  run.submit(0);
  const after = await saveState(run.stage.state);
  assert.is(changed(before.get('student')!, after.get('student')!).length, before.get('student')!.size);
  assert.is(changed(before.get('head')!, after.get('head')!).length, before.get('head')!.size);
  const { m } = optionsOf(name).teacher;
  for (const [key, { data }] of after.get('teacher')!) {
    const old = before.get('teacher')!.get(key)!.data;
    const student = after.get('student')!.get(key)!.data;
    data.forEach((v, i) => {
      const expected = m * old[i] + (1 - m) * student[i];
      if (Math.abs(v - expected) > 1e-6) assert.unreachable(`${key} ${i}: ${v}, expected ${expected}`);
    });
  }
}

/** One step's log with some options changed, and with what is uploaded changed by `prepare`. */
async function logOf(device: Device, change: Partial<Stage2Options>, name: RunName = 'run_small') {
  const run = await stage2Run(device, name, change);
  const log = await run.step(5);
  const values = await saveState(run.stage.state);
  run.program.destroy();
  return { log, values, commands: run.recording.commands.length, names: Object.keys(run.log) };
}

gpuTest('losses of weight 0 are not recorded, and the rest is a supervised step', async (device) => {
  const all = await logOf(device, {});
  const noContrast = await logOf(device, { ancoWeight: 0 });
  const noUnsupervised = await logOf(device, { unsupWeight: 0 });
  const neither = await logOf(device, { ancoWeight: 0, unsupWeight: 0 });
  assert.equal(neither.names, ['loss', 'supervised', 'ce', 'dice', 'norm']);
  assert.equal(noContrast.names, ['loss', 'supervised', 'ce', 'dice', 'unsupervised', 'confident', 'norm']);
  assert.equal(noUnsupervised.names, ['loss', 'supervised', 'ce', 'dice', 'contrast', 'norm']);
  assert.ok(neither.commands < noContrast.commands && noContrast.commands < all.commands);
  assert.not(neither.values.has('head'));
  assert.is(neither.log.loss, neither.log.supervised);
  for (const { log } of [noContrast, noUnsupervised, neither]) assert.is(log.supervised, all.log.supervised);
  assert.is(noContrast.log.unsupervised, all.log.unsupervised);
  assert.is(noUnsupervised.log.contrast, all.log.contrast);
});

gpuTest(
  'no confident and no unsure voxel: zero losses, finite, and the step of supervised training alone',
  async (device) => {
    const neither = await logOf(device, { ancoWeight: 0, unsupWeight: 0 });
    // No probability reaches 1 here, so nothing is confident; with a strong threshold of 0 nothing is hard.
    const unsure = await logOf(device, { strongConfidence: 1, ancoWeight: 0 });
    assert.is(unsure.log.unsupervised, 0);
    assert.is(unsure.log.confident, 0);
    const easy = await logOf(device, { strongConfidence: 0, unsupWeight: 0 });
    assert.is(easy.log.contrast, 0);
    for (const { log, values } of [unsure, easy]) {
      assert.is(log.loss, neither.log.supervised);
      for (const [name, { data }] of values.get('student')!) {
        assert.equal(data, neither.values.get('student')!.get(name)!.data, name);
      }
    }
  },
);

gpuTest('labelled partners: what is left out, what each weight does, and when the ramp applies', async (device) => {
  const alone = await logOf(device, {}, 'run_pairs');
  const beside = await logOf(device, { supervisedBatch: true }, 'run_pairs');
  assert.equal(alone.names, ['loss', 'unsupervised', 'confident', 'contrast', 'norm']);
  assert.equal(beside.names.slice(1, 4), ['supervised', 'ce', 'dice']);
  assert.ok(alone.commands < beside.commands);
  const { ramp } = stage2Scalars(optionsOf('run_pairs'), 5);
  assert.ok(ramp > 0.5 && ramp < 0.95);
  const { ancoWeight } = optionsOf('run_pairs').stage2;
  const near = (a: number, b: number) => assert.ok(Math.abs(a / b - 1) < 1e-5, `${a}, expected ${b}`);
  near(alone.log.loss, alone.log.unsupervised + ramp * ancoWeight * alone.log.contrast);
  near(beside.log.loss, beside.log.supervised + ramp * (beside.log.unsupervised + ancoWeight * beside.log.contrast));
  near(beside.log.unsupervised, alone.log.unsupervised);
  near(beside.log.confident, alone.log.confident);

  // Cross-entropy is linear in the weights: what is labelled, and as much again as unlabelled voxels weigh.
  const ce = async (change: Partial<Stage2Options>) =>
    (await logOf(device, { pseudoDice: false, ancoWeight: 0, ...change }, 'run_pairs')).log.unsupervised;
  const labelledOnly = await ce({ unlabelledVoxels: 0, imageWeight: 'one' });
  const all = await ce({ unlabelledVoxels: 1, imageWeight: 'one' });
  assert.ok(labelledOnly > 0.05 && all > labelledOnly + 0.05, `${labelledOnly}, ${all}`);
  near(await ce({ unlabelledVoxels: 0.25, imageWeight: 'one' }), 0.75 * labelledOnly + 0.25 * all);
  const confident = await ce({ unlabelledVoxels: 1 });
  assert.ok(confident > labelledOnly && confident < all);
  assert.is(await ce({ unlabelledVoxels: 0 }), labelledOnly);
});

gpuTest('labelled partners: one patch of each, and unequal batches', async (device) => {
  for (const [labelledBatch, unlabelledBatch, supervisedBatch] of [
    [1, 1, false],
    [2, 1, true],
    [1, 3, false],
  ] as const) {
    const { log } = await logOf(device, { labelledBatch, unlabelledBatch, supervisedBatch }, 'run_pairs');
    for (const [key, value] of Object.entries(log)) assert.ok(Number.isFinite(value), `${key} is ${value}`);
    assert.ok(log.contrast > 1 && log.unsupervised > 0.1 && log.norm > 0);
  }
});

gpuTest(
  'among unlabelled patches: weights of 1 and Dice change the loss and nothing else of its making',
  async (device) => {
    const usual = await logOf(device, {});
    const one = await logOf(device, { imageWeight: 'one' });
    const dice = await logOf(device, { imageWeight: 'one', pseudoDice: true });
    for (const { log } of [one, dice]) {
      assert.is(log.confident, usual.log.confident);
      assert.is(log.supervised, usual.log.supervised);
    }
    // The weight of an image is a share below 1.
    assert.ok(usual.log.unsupervised < 0.9 * one.log.unsupervised);
    assert.ok(
      dice.log.unsupervised > 0.5 * one.log.unsupervised && dice.log.unsupervised < (one.log.unsupervised + 1) / 2,
    );
  },
);

gpuTest('every way of mixing, drawing and sampling runs and gives finite losses', async (device) => {
  const kinds: [RunName, Partial<Stage2Options>][] = [
    ['run_small', { mixing: 'cutmix', box: 'slab', keys: 'per-query', negatives: 8 }],
    ['run_small', { mixing: 'cutout', keys: 'per-class', queryChoice: 'any' }],
    ['run_pairs', { mixing: 'classmix', keys: 'per-class', queryChoice: 'any' }],
    ['run_pairs_beside', { mixing: 'cutmix', box: 'slab', keys: 'pool', pseudoDice: true }],
    ['run_paper', { mixing: 'none', negativeClasses: 'uniform', teacherNorm: 'train', keys: 'pool' }],
  ];
  for (const [name, change] of kinds) {
    const { log } = await logOf(device, change, name);
    for (const [key, value] of Object.entries(log)) assert.ok(Number.isFinite(value), `${key} is ${value}`);
    assert.ok(log.contrast > 1 && log.unsupervised > 0);
  }
});

gpuTest('the ramp, the rate and the decay of a step', async () => {
  const options = optionsOf('run_small');
  const { ramp, ema_decay } = stage2Scalars(options, 3);
  assert.is(ema_decay, 0.9);
  assert.ok(Math.abs(ramp - Math.exp(-5 * 0.25)) < 1e-12, 'half way through 6 of 20 steps');
  assert.is(stage2Scalars(options, 6).ramp, 1);
  assert.is(stage2Scalars({ ...options, stage2: { ...options.stage2, ramp: 0 } }, 0).ramp, 1);
  assert.equal(
    [0, 1, 30].map((step) => stage2Scalars(options, step, true).ema_decay),
    [0, 0.5, 0.9],
    'of a student that begins untrained',
  );
});

run();
