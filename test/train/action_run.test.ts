/** ACTION as a run: stages one after the other, stopped and continued anywhere, started from other weights, its refusals. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { actionPresets } from '../../engine/action/options.ts';
import { synth } from '../../runner/commands/synth.ts';
import { decodeCheckpoint } from '../../runner/train/checkpoint.ts';
import { type TrainConfigInput, trainConfig } from '../../runner/train/config.ts';
import { ABLATION_NAMES } from '../../runner/train/config_action.ts';
import { RUN_FILES } from '../../runner/train/run_store.ts';
import { runTraining } from '../../runner/train/run_training.ts';
import { inFolder } from '../data/corpus.ts';
import { rejects } from '../data/rejects.ts';
import { gpuTest, run } from '../harness.ts';
import { inputFor, memoryStore, phantoms, watching } from './run_here.ts';
import { trainHere } from './tiny_run.ts';

const TINY: TrainConfigInput = {
  method: 'action',
  patch: [8, 8, 8],
  network: { channels: [4, 8] },
  checkpointEvery: 2,
  validation: 1,
  validateEvery: 4,
  action: {
    global: { K: 4, bins: 2, hidden: 8, d: 8 },
    local: { K: 4, pool: 1 },
    stage1a: { steps: 4, batch: 2 },
    stage1b: { steps: 4, labelledBatch: 1, unlabelledBatch: 1 },
    stage2: { steps: 4, queries: 16, negatives: 16 },
  },
};

gpuTest(
  'three stages, each taking over from the one before; stopped anywhere, the result has the same bytes',
  (device) =>
    inFolder(async (folder) => {
      const data = await phantoms(folder);
      const whole = memoryStore();
      const events = watching();
      const result = await runTraining(await inputFor(device, data, TINY, whole), events);
      assert.equal([result.step, result.finished], [12, true]);
      assert.equal(events.stages, ['1a from 0', '1b from 4', '2 from 8']);
      assert.equal(events.steps, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
      assert.equal(events.losses[0], {}, 'the bank is filled first');
      assert.ok('global_cosine' in events.losses[2] && 'local' in events.losses[6] && 'contrast' in events.losses[10]);
      const at = (path: string) => decodeCheckpoint(whole.files.get(path)!, path);
      assert.equal([at(RUN_FILES.stage1a).stage, at(RUN_FILES.stage1a).step], ['1a', 4]);
      assert.equal([at(RUN_FILES.stage1b).stage, at(RUN_FILES.stage1b).step], ['1b', 8]);
      assert.ok(result.best && [8, 12].includes(result.best.step), 'stage 1a is not validated: it does not predict');
      assert.is(device.bytesHeld, 0);

      for (const most of [1, 5]) {
        const store = memoryStore();
        let starts = 0;
        for (let finished = false; !finished; starts++) {
          assert.ok(starts < 20);
          ({ finished } = await runTraining(await inputFor(device, data, TINY, store), watching(most)));
        }
        assert.ok(starts >= 12 / (most + 2), `${starts} starts`);
        assert.equal([...store.files.keys()].sort(), [...whole.files.keys()].sort());
        for (const [path, bytes] of whole.files)
          assert.equal(store.files.get(path), bytes, `${path}, ${most} steps a time`);
      }
    }),
);

gpuTest(
  'pseudo-labels of whole volumes: stopped anywhere, also within a cycle, the result has the same bytes',
  (device) =>
    inFolder(async (folder) => {
      const data = await phantoms(folder);
      const stage2 = {
        ...TINY.action?.stage2,
        steps: 6,
        cycles: 2,
        imageWeight: 'one' as const,
        pseudo: 'volume' as const,
      };
      const config: TrainConfigInput = { ...TINY, action: { ...TINY.action, stages: ['2'], stage2 } };
      const whole = memoryStore();
      const events = watching();
      await runTraining(await inputFor(device, data, config, whole), events);
      assert.ok(events.losses.every(({ unsupervised }) => unsupervised > 0));
      const { groups } = decodeCheckpoint(whole.files.get(RUN_FILES.latest)!, 'latest');
      const of = (group: string) => groups.get(group)?.get('head.weight')?.data;
      assert.ok(of('labeller') && of('teacher'));
      assert.not.equal(of('labeller'), of('teacher'), 'the labeller stays what the teacher was when the cycle began');
      for (const most of [1, 2]) {
        const store = memoryStore();
        for (let finished = false, starts = 0; !finished; starts++) {
          assert.ok(starts < 20);
          ({ finished } = await runTraining(await inputFor(device, data, config, store), watching(most)));
        }
        for (const [path, bytes] of whole.files)
          assert.equal(store.files.get(path), bytes, `${path}, ${most} steps a time`);
      }
      const store = memoryStore();
      let labelled = 0;
      const midway = { ...watching(), onVolume: () => labelled++, shouldStop: () => labelled === 3 };
      const { step } = await runTraining(await inputFor(device, data, config, store), midway);
      assert.equal([step, labelled], [3, 3], 'two volumes for the first cycle, stopped between those for the second');
      await runTraining(await inputFor(device, data, config, store), watching());
      for (const [path, bytes] of whole.files) assert.equal(store.files.get(path), bytes, path);
      assert.is(device.bytesHeld, 0);
    }),
);

gpuTest('stages run one by one, --from the checkpoint of the one before, end as the whole run does', (device) =>
  inFolder(async (folder) => {
    const data = await phantoms(folder);
    const whole = memoryStore();
    await runTraining(await inputFor(device, data, TINY, whole), watching());
    const { groups } = decodeCheckpoint(whole.files.get(RUN_FILES.stage1b)!, '1b');
    const store = memoryStore();
    const only: TrainConfigInput = { ...TINY, action: { ...TINY.action, stages: ['2'] }, from: 'x' };
    const input = await inputFor(device, data, only, store);
    const events = watching();
    const { step } = await runTraining({ ...input, from: groups }, events);
    assert.equal([step, events.stages], [4, ['2 from 0']]);
    const student = (s: typeof store) =>
      decodeCheckpoint(s.files.get(RUN_FILES.latest)!, 'latest').groups.get('student')!;
    const first = await inputFor(device, data, only, memoryStore());
    assert.is(first.config.steps, 4);
    assert.not.equal(student(store), groups.get('student'), 'it has learned');

    // A supervised run's weights will do: the teacher then starts from the student.
    const supervised = new Map([['student', groups.get('student')!]]);
    const other = memoryStore();
    await runTraining({ ...(await inputFor(device, data, only, other)), from: supervised }, watching());
    assert.equal(student(other), student(store), "preset small: stage 2's teacher starts from the student anyway");
  }),
);

gpuTest(
  'stage 2 with labelled partners alone, one patch of each: stopped half way, the result has the same bytes',
  (device) =>
    inFolder(async (folder) => {
      const data = await phantoms(folder);
      const stage2 = {
        ...TINY.action?.stage2,
        partner: 'labelled' as const,
        supervisedBatch: false,
        imageWeight: 'one' as const,
        ...{ unlabelledVoxels: 0.5, pseudoDice: true, weakConfidence: 0, labelledBatch: 1, unlabelledBatch: 1 },
      };
      // With the classes' shares an untrained network predicts background alone, and nothing is there to contrast.
      const network = { ...TINY.network, classPrior: false };
      const only: TrainConfigInput = { ...TINY, network, action: { ...TINY.action, stages: ['2'], stage2 } };
      const whole = memoryStore();
      const events = watching();
      await runTraining(await inputFor(device, data, only, whole), events);
      assert.equal(events.stages, ['2 from 0']);
      for (const losses of events.losses) {
        assert.not.ok('supervised' in losses);
        assert.ok(losses.unsupervised > 0.1, JSON.stringify(losses));
      }
      assert.ok(events.losses.some(({ contrast }) => contrast > 0));
      assert.is(device.bytesHeld, 0);
      const store = memoryStore();
      for (let finished = false, starts = 0; !finished; starts++) {
        assert.ok(starts < 5);
        ({ finished } = await runTraining(await inputFor(device, data, only, store), watching(2)));
      }
      for (const [path, bytes] of whole.files) assert.equal(store.files.get(path), bytes, path);
    }),
);

gpuTest('what an ablation leaves out is not in the log', (device) =>
  inFolder(async (folder) => {
    const data = await phantoms(folder);
    for (const name of ['stage1', 'global', 'local', 'unsup', 'anco'] as const) {
      const store = memoryStore();
      const events = watching();
      // stages and steps of 1a are what two ablations set
      const { stage1a: _, ...action } = TINY.action!;
      const batches = { ...action, ...(name !== 'global' && { stage1a: TINY.action!.stage1a }) };
      await runTraining(
        await inputFor(device, data, { ...TINY, validation: 0, action: batches, without: [name] }, store),
        events,
      );
      const names = new Set(events.losses.flatMap((losses) => Object.keys(losses)));
      const absent = { stage1: 'global', global: 'global', local: 'local', unsup: 'unsupervised', anco: 'contrast' }[
        name as string
      ];
      if (absent) assert.not.ok(names.has(absent), `${name}: ${[...names]}`);
      if (name !== 'unsup') assert.ok(names.has('unsupervised'), name);
      assert.is(events.stages.length, name === 'stage1' ? 1 : name === 'global' ? 2 : 3);
    }
  }),
);

gpuTest('the teacher remembers the student that stage 2 began with only if it was trained', (device) =>
  inFolder(async (folder) => {
    const data = await phantoms(folder);
    const action = { ...TINY.action, stage2: { ...TINY.action?.stage2, steps: 1 } };
    for (const from of [null, 'weights of another run']) {
      const store = memoryStore();
      const config: TrainConfigInput = { ...TINY, validation: 0, action, without: ['stage1'], from };
      await runTraining(await inputFor(device, data, config, store), watching());
      const { groups } = decodeCheckpoint(store.files.get(RUN_FILES.latest) as Uint8Array, 'latest');
      const [student, teacher] = ['student', 'teacher'].map((name) => groups.get(name));
      (from === null ? assert.equal : assert.not.equal)(teacher, student);
    }
  }),
);

gpuTest("stage 2's teacher starts from the teacher of stage 1b or from its student, as asked", (device) =>
  inFolder(async (folder) => {
    const data = await phantoms(folder);
    for (const teacherStart of ['ema', 'student'] as const) {
      const store = memoryStore();
      const stage2 = { ...TINY.action?.stage2, teacherStart };
      // a teacher that never moves is at the end what it was at the beginning
      const action = { ...TINY.action, teacher: { m: 1 }, stage2 };
      await runTraining(await inputFor(device, data, { ...TINY, validation: 0, action }, store), watching());
      const groupsOf = (path: string) => decodeCheckpoint(store.files.get(path) as Uint8Array, path).groups;
      const [before, after] = [groupsOf(RUN_FILES.stage1b), groupsOf(RUN_FILES.latest)];
      assert.not.equal(before.get('teacher'), before.get('student'));
      assert.equal(after.get('teacher'), before.get(teacherStart === 'ema' ? 'teacher' : 'student'));
    }
  }),
);

gpuTest('volumes that changed under the same names are noticed', (device) =>
  inFolder(async (folder) => {
    const data = await phantoms(folder);
    const store = memoryStore();
    await runTraining(await inputFor(device, data, TINY, store), watching(2));
    await synth(data, { cases: 5, labelled: 3, test: 1, size: 16, classes: 3, seed: 9, quiet: true, force: true });
    const again = await inputFor(device, data, TINY, store);
    await rejects(() => runTraining(again, watching()), 4, /volumes or labels have changed .*new run folder/);
  }),
);

test('what ACTION cannot run with is refused before training, with the way out', () =>
  inFolder(async (folder) => {
    const data = await phantoms(folder);
    const output = join(folder, 'run');
    const refused = (settings: string[], message: RegExp, options = {}, code = 2) =>
      rejects(
        () => trainHere(data, output, { method: 'action', steps: undefined, settings, ...options }),
        code,
        message,
      );
    await refused(
      ['action.stage2.unlabelledBatch=1'],
      /takes a batch of 2 or more, but action\.stage2\.unlabelledBatch is 1/,
    );
    await refused(['action.global.tauT=0'], /global\.tauT is 0 but must be above 0/);
    await refused(['action.stage2.supervisedBatch=false'], /supervisedBatch is false but .* set .* to 'labelled'/);
    await refused(['action.stage2.partner=anything'], /'action\.stage2\.partner' is "anything", expected/);
    await refused(['action.stage2.tau=0'], /stage2\.tau is 0 but must be above 0/);
    await refused(
      ['action.global.K=100000'],
      /action\.global\.K is 100000 but stage1a sees only 400 patches .* use a smaller action\.global\.K/,
    );
    await refused(['action.local.window=40'], /window/);
    await refused(['action.stage2.stepz=4'], /'action\.stage2\.stepz' is not an option/);
    await refused(
      ['action.stage1a.steps=5', 'action.stage1b.steps=5', 'action.stage2.steps=5', 'steps=900'],
      /steps is 900 but the stages have 15/,
    );
    await refused(['optimiser.rate=0.1'], /'optimiser' is an option of methods supervised, .*action\.stage2\.rate/);
    await refused([], /local windows|window/, { patch: [8, 8, 8], steps: 700 });
    await refused([], /'preset' is an option of method action/, { method: 'supervised', preset: 'paper' });
    await refused([], /--from|no such|does not exist/, { from: join(folder, 'nothing') }, 4);
    await writeFile(join(folder, 'weights'), 'no weights');
    await refused([], /weights/, { from: join(folder, 'weights') }, 4);
    assert.not.ok(await readFile(join(output, RUN_FILES.config)).catch(() => undefined));

    const labelled = join(folder, 'labelled');
    await synth(labelled, { cases: 2, labelled: 2, test: 1, size: 16, classes: 2, quiet: true });
    await rejects(
      () => trainHere(labelled, output, { method: 'action', steps: undefined }),
      2,
      /method action learns from unlabelled cases, but there are 0; .*--method supervised/,
    );
  }));

test('steps and batch of the whole are dealt to the stages; the written configuration says the same again', () => {
  const config = trainConfig({ method: 'action', steps: 70, batch: 3 });
  assert.equal(config.method === 'action' && [config.action.stage1a.steps, config.action.stage1b.steps], [10, 10]);
  assert.equal([config.steps, config.batch], [70, 3]);
  for (const name of ABLATION_NAMES)
    assert.not.equal(trainConfig({ method: 'action', steps: 70, batch: 3, without: [name] }), config);
  assert.equal(trainConfig(config), config);
  const paper = trainConfig({ method: 'action', preset: 'paper' });
  assert.equal(paper.method === 'action' && paper.action, { ...actionPresets.paper, stages: ['1a', '1b', '2'] });
  assert.equal(trainConfig(paper), paper);
  assert.equal([paper.steps, paper.batch], [90000, 2]);
  const without = trainConfig({ method: 'action', steps: 700, without: ['stage1', 'anco'] });
  assert.ok(without.method === 'action');
  assert.equal([without.steps, without.action.stages, without.action.stage2.ancoWeight], [700, ['2'], 0]);
  assert.throws(
    () => trainConfig({ method: 'action', batch: 4, action: { stage2: { labelledBatch: 2 } } }),
    /batch is 4/,
  );
});

run();
