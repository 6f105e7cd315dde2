/** The baselines as runs: stopped and continued they end with the same bytes, and they learn from the unlabelled patches. */
import * as assert from 'uvu/assert';
import { voxelShelf } from '../../runner/host/voxel_file.ts';
import type { TrainConfigInput } from '../../runner/train/config.ts';
import { RUN_FILES } from '../../runner/train/run_store.ts';
import { runTraining } from '../../runner/train/run_training.ts';
import { inFolder } from '../data/corpus.ts';
import { gpuTest, run } from '../harness.ts';
import { inputFor, memoryStore, phantoms, watching } from './run_here.ts';

const TINY: TrainConfigInput = {
  patch: [8, 8, 8],
  network: { channels: [4, 8], dropout: 0.2 },
  steps: 6,
  checkpointEvery: 2,
  validation: 0,
};

const METHODS: Record<string, TrainConfigInput> = {
  'mean-teacher': { method: 'mean-teacher', meanTeacher: { ramp: 0 } },
  'ua-mt': { method: 'ua-mt', uaMt: { ramp: 0, passes: 2 } },
  cps: { method: 'cps', cps: { ramp: 0 } },
};

gpuTest('each baseline, stopped and continued, ends with the bytes of one that was not', (device) =>
  inFolder(async (folder) => {
    const data = await phantoms(folder);
    const results = new Map<string, Uint8Array>();
    for (const [name, config] of [...Object.entries(METHODS), ['supervised', { method: 'supervised' }] as const]) {
      const whole = memoryStore();
      const events = watching();
      await runTraining(await inputFor(device, data, { ...TINY, ...config }, whole), events);
      assert.equal(events.stages, [`${name} from 0`]);
      const store = memoryStore();
      const first = await runTraining(await inputFor(device, data, { ...TINY, ...config }, store), watching(2));
      assert.not(first.finished);
      const second = await runTraining(await inputFor(device, data, { ...TINY, ...config }, store), watching());
      assert.ok(second.finished);
      for (const [path, bytes] of whole.files) assert.equal(store.files.get(path), bytes, `${name}: ${path}`);
      results.set(name, whole.files.get(RUN_FILES.weights)!);
      assert.is(device.bytesHeld, 0);
    }
    const supervised = results.get('supervised')!;
    for (const name of Object.keys(METHODS)) assert.not.equal(results.get(name), supervised, name);
  }),
);

gpuTest(
  'images beyond the memory for them change nothing: patches of a file, resumed and validated, give the same bytes',
  (device) =>
    inFolder(async (folder) => {
      const data = await phantoms(folder);
      const config: TrainConfigInput = { ...TINY, ...METHODS['mean-teacher'], validation: 1 };
      const whole = memoryStore();
      await runTraining(await inputFor(device, data, config, whole), watching());
      for (const memory of [0, 4 * 16 ** 3]) {
        const store = memoryStore();
        for (const most of [2, Infinity]) {
          const shelf = voxelShelf(folder, memory);
          await runTraining({ ...(await inputFor(device, data, config, store)), keep: shelf.keep }, watching(most));
          assert.ok(shelf.held.file > 0 && shelf.held.memory <= memory);
          shelf.close();
        }
        for (const [path, bytes] of whole.files) assert.equal(store.files.get(path), bytes, path);
      }
    }),
);

run();
