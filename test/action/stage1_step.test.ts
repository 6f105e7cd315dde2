/** What a step of stage 1 changes and what it leaves alone; replays, resuming, order of reads and writes. */
import * as assert from 'uvu/assert';
import type { ActionOptions } from '../../engine/action/options.ts';
import { recordStage1a } from '../../engine/action/stage1.ts';
import { createStage1Networks, enterStage1, type Substage } from '../../engine/action/stage1_parts.ts';
import type { Command } from '../../engine/command.ts';
import type { Device } from '../../engine/device.ts';
import { Parameters, type ParameterValues } from '../../engine/nn/parameters.ts';
import { loadState, saveState } from '../../engine/nn/state.ts';
import { unet3d } from '../../engine/nn/unet3d.ts';
import { Program } from '../../engine/program.ts';
import { Recording } from '../../engine/recording.ts';
import { createStepCounters } from '../../engine/step_counters.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { gpuTest, run } from '../harness.ts';
import { mappingsIn } from '../mappings.ts';
import { bankRows, optionsOf, stage1Networks, stage1Run, viewsOf } from './stage1_run.ts';

/** Small patches, so that many steps are quick; cells of one voxel, so that there are 27 windows all the same. */
const SIZE = [8, 8, 8] as const;
const of = (name: string, change: Partial<ActionOptions> = {}): ActionOptions => {
  const options = optionsOf(name);
  return { ...options, local: { ...options.local, pool: 1 }, ...change };
};
const stage1On = (device: Device, substage: Substage, options: ActionOptions) =>
  stage1Run(device, substage, options, SIZE);
type Run = Awaited<ReturnType<typeof stage1On>>;

/** Every value the run trains or remembers. */
const state = async ({ stage }: Run) => Object.fromEntries(await saveState(stage.state));
const sameValues = (a: ParameterValues, b: ParameterValues, names: (name: string) => boolean = () => true) => {
  for (const [name, { data }] of a) if (names(name)) assert.equal(data, b.get(name)?.data, name);
};

gpuTest(
  '1b: replays, a resumed run and a run built anew agree to the bit; nothing is mapped in a step',
  async (device) => {
    const options = of('run_1b');
    const first = await stage1On(device, '1b', options);
    const begin = await saveState(first.stage.state);
    for (const { commands } of [first.recording]) {
      assert.ok(commands.length > 100);
      assert.ok(commands.every(({ kind }) => ['dispatch', 'copy', 'clear'].includes(kind)));
    }
    const buffer = first.program.bufferOf(first.log.loss);
    const inSteps = await mappingsIn(buffer, async () => {
      for (let i = 0; i < 3; i++) first.submit(i);
      await device.idle();
    });
    assert.is(inSteps, 0);
    assert.is(await mappingsIn(buffer, async () => void (await first.program.read(first.log.loss))), 1);
    const half = await saveState(first.stage.state);
    first.submit(3);
    const straight = await state(first);

    loadState(first.stage.state, begin);
    for (let i = 0; i < 4; i++) first.submit(i);
    assert.equal(await state(first), straight);

    const anew = await stage1On(device, '1b', options);
    loadState(anew.stage.state, half);
    anew.submit(3);
    assert.equal(await state(anew), straight);
    half.delete('local_bank');
    assert.throws(() => loadState(anew.stage.state, half), /no 'local_bank', which this training needs/);
  },
);

gpuTest(
  '1a trains the encoder and the global head only, to the bit, and 1b goes on with its networks',
  async (device) => {
    const options = of('run_1a');
    const run = await stage1On(device, '1a', options);
    const before = await state(run);
    for (let i = 0; i < 2; i++) run.submit(i);
    const filled = await state(run);
    for (const group of ['student', 'projectors', 'predictors', 'teacher']) sameValues(filled[group], before[group]);
    assert.not.equal(filled.global_bank, before.global_bank);
    run.submit(2);
    const after = await state(run);
    sameValues(after.student, before.student, (name) => !name.startsWith('encoder.'));
    sameValues(after.projectors, before.projectors, (name) => name.startsWith('local_'));
    sameValues(after.predictors, before.predictors, (name) => name.startsWith('local_'));
    for (const [group, trained] of [
      ['student', 'encoder.'],
      ['projectors', 'global_'],
      ['predictors', 'global_'],
    ]) {
      for (const [name, { data }] of after[group]) {
        if (name.startsWith(trained)) assert.not.equal(data, before[group].get(name)?.data, name);
      }
    }
    const next = enterStage1(run.networks, '1b');
    const entered = Object.fromEntries(await saveState(next.state));
    for (const group of ['student', 'projectors', 'predictors', 'teacher', 'teacher.projectors'])
      sameValues(entered[group], after[group]);
    assert.ok(entered.global_bank.get('keys')?.data.every((v) => v === 0));
    assert.ok([...entered['optimiser.network.velocity'].values()].every(({ data }) => data.every((v) => v === 0)));
  },
);

gpuTest('the teacher moves by its average alone and hands the bank its keys', async (device) => {
  // m = 1: a teacher that gradients or the optimiser could reach would not stay.
  const still = await stage1On(device, '1b', of('run_1b', { teacher: { m: 1, update: 'after' } }));
  const before = await state(still);
  for (let i = 0; i < 3; i++) still.submit(i);
  const after = await state(still);
  sameValues(after.teacher, before.teacher);
  sameValues(after['teacher.projectors'], before['teacher.projectors']);
  // m = 0 copies the student, after the update or before it.
  const copying = await stage1On(device, '1b', of('run_1b', { teacher: { m: 0, update: 'after' } }));
  for (let i = 0; i < 3; i++) copying.submit(i);
  const copied = await state(copying);
  sameValues(copied.teacher, copied.student);
  sameValues(copied['teacher.projectors'], copied.projectors);
  const late = await stage1On(device, '1b', of('run_1b', { teacher: { m: 0, update: 'before' } }));
  for (let i = 0; i < 2; i++) late.submit(i);
  const student = (await state(late)).student;
  late.submit(2);
  sameValues((await state(late)).teacher, student);
});

gpuTest("'before' and 'after' the step give the same losses; the teacher ends one update behind", async (device) => {
  const losses = async (update: 'before' | 'after') => {
    const run = await stage1On(device, '1b', of('run_1b', { teacher: { m: 0.5, update } }));
    const found: number[] = [];
    for (let i = 0; i < 4; i++) found.push((await run.step(i)).loss);
    return { found, teacher: (await state(run)).teacher };
  };
  const [after, before] = [await losses('after'), await losses('before')];
  after.found.forEach((loss, i) => {
    assert.ok(Math.abs(loss / before.found[i] - 1) < 1e-5, `step ${i}: ${loss} and ${before.found[i]}`);
  });
  assert.not.equal(after.teacher, before.teacher);
});

/** Places in a recording where a kernel reads, and where one writes, a tensor's storage. */
function uses(recording: Recording, t: Tensor): { reads: number[]; writes: number[] } {
  const found: { reads: number[]; writes: number[] } = { reads: [], writes: [] };
  recording.commands.forEach((command: Command, i) => {
    if (command.kind !== 'dispatch') return;
    for (const { name, access } of command.kernel.bindings) {
      if (access === 'params' || command.tensors[name].storage !== t.storage) continue;
      (access === 'read_write' ? found.writes : found.reads).push(i);
    }
  });
  return found;
}

gpuTest('banks are read before the step writes them: no sample meets its own key', async (device) => {
  const options = of('run_1b');
  const four = { ...options, global: { ...options.global, K: 4 }, local: { ...options.local, K: 4 } };
  const run = await stage1On(device, '1b', four);
  const begin = await saveState(run.stage.state);
  for (const { bank } of run.stage.parts) {
    const { reads, writes } = uses(run.recording, bank.rows);
    assert.is(writes.length, 1);
    assert.ok(reads.length >= 2 && reads.every((at) => at < writes[0]));
  }
  // A batch replaces the whole bank: were it written first, what the bank held before would not matter.
  const stepFrom = async (scale: number) => {
    loadState(run.stage.state, begin);
    for (const { bank } of run.stage.parts) {
      const rows = bankRows(bank.rows.shape);
      const keys = rows.get('keys') as { shape: readonly number[]; data: Float32Array };
      bank.load(new Map([['keys', { ...keys, data: keys.data.map((v, i) => v * (i % 3 === 0 ? scale : 1)) }]]));
    }
    return { log: await run.step(1), after: await state(run) };
  };
  const [one, other] = [await stepFrom(1), await stepFrom(-2)];
  for (const part of ['global', 'local']) {
    assert.ok(Math.abs(one.log[part] - other.log[part]) > 1e-3, `${part}: ${one.log[part]} and ${other.log[part]}`);
    assert.equal(one.after[`${part}_bank`], other.after[`${part}_bank`]);
  }
});

gpuTest(
  'parts with weight 0 are left out: no local head; nothing but supervision; no bank, no teacher pass',
  async (device) => {
    const options = of('run_1b');
    const without = (part: 'global' | 'local', from = options) => ({ ...from, [part]: { ...from[part], weight: 0 } });
    const whole = await stage1On(device, '1b', options);
    const noLocal = await stage1On(device, '1b', without('local'));
    assert.is(noLocal.networks.heads.local, undefined);
    assert.equal(Object.keys(noLocal.log), ['loss', 'supervised', 'ce', 'dice', 'global', 'global_cosine', 'norm']);
    const noGlobal = await stage1On(device, '1b', without('global'));
    const before = await state(noGlobal);
    for (let i = 0; i < 3; i++) noGlobal.submit(i);
    const after = await state(noGlobal);
    sameValues(after.projectors, before.projectors, (name) => name.startsWith('global_'));
    assert.not.equal(after.projectors.get('local_head.0.weight'), before.projectors.get('local_head.0.weight'));

    const alone = await stage1On(device, '1b', without('global', without('local') as typeof options));
    // The teacher still follows (one update writes it), but no pass reads it.
    const passes = ({ recording, networks }: Run) => uses(recording, networks.teacher.network.flat);
    assert.ok(passes(whole).reads.length > 0);
    assert.equal([passes(alone).reads.length, passes(alone).writes.length], [0, 1]);
    const heads = await alone.networks.student.projectors.read();
    for (let i = 0; i < 2; i++) {
      const found = await alone.step(i);
      assert.is(found.loss, found.supervised);
    }
    assert.equal(await alone.networks.student.projectors.read(), heads);
  },
);

gpuTest(
  'batch norm and dropout: the teacher drops nothing and keeps running statistics of its own view',
  async (device) => {
    // A bank that starts full: the step learns at once.
    const global = { ...of('run_1a').global, bankStart: 'gaussian' as const };
    const options = of('run_1a', { teacher: { m: 1, update: 'after' }, global });
    const unet = unet3d({ inChannels: 1, classes: 3, channels: [4, 8, 16], norm: 'batch', dropout: 0.5 });
    const student = Parameters.create(device, unet.specs);
    const networks = await createStage1Networks(device, unet, student, SIZE, options, 0);
    const stage = enterStage1(networks, '1a');
    const shape = [4, ...SIZE, 1];
    const weak = device.tensor(shape, 'weak', { data: viewsOf(0, SIZE).weak });
    const strong = device.tensor(shape, 'strong', { data: viewsOf(0, SIZE).strong });
    const counters = createStepCounters(device, 1);
    const begin = await saveState(stage.state);
    const stepAt = async (step: number) => {
      counters.setStep(step);
      loadState(stage.state, begin);
      stage.setStep(2);
      const rec = new Recording(device, '1a');
      recordStage1a(rec, stage, { weak, strong }, { dropout: { counters: counters.tensor, stream: 7 } });
      (await Program.create(rec)).run();
      return Object.fromEntries(await saveState(stage.state));
    };
    const [one, other] = [await stepAt(1), await stepAt(2)];
    assert.equal(one.global_bank, other.global_bank);
    assert.not.equal(one.student, other.student);
    const mean = 'encoder.0.0.norm.running_mean';
    assert.not.equal(one.teacher.get(mean), begin.get('teacher')?.get(mean));
    assert.not.equal(one.teacher.get(mean), one.student.get(mean));
    sameValues(one.teacher, begin.get('teacher') as ParameterValues, (name) => !name.includes('running_'));
    assert.throws(
      () => recordStage1a(new Recording(device, 'no counters'), stage, { weak, strong }),
      /training with dropout 0.5 needs random counters/,
    );
  },
);

gpuTest('destroying a stage frees all it made', async (device) => {
  const held = device.bytesHeld;
  const networks = await stage1Networks(device, of('run_1b'), SIZE);
  const student: Parameters = networks.student.network;
  for (const substage of ['1a', '1b'] as const) enterStage1(networks, substage).destroy();
  networks.destroy();
  student.destroy();
  assert.is(device.bytesHeld, held);
});

run();
