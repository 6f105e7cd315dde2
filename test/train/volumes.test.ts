/** Whole volumes on the device change what a step costs the host, and nothing else. */
import * as assert from 'uvu/assert';
import type { Device } from '../../engine/device.ts';
import { CLASSES, syntheticCase } from '../../runner/bench/synthetic.ts';
import { type TrainConfigInput, trainConfig } from '../../runner/train/config.ts';
import { stagesOf } from '../../runner/train/methods.ts';
import { gpuTest, run } from '../harness.ts';

const COMMON: TrainConfigInput = { patch: [8, 8, 8], network: { channels: [4, 8] }, augmentation: { elastic: {} } };
const CONFIGS: Record<string, TrainConfigInput> = {
  supervised: { ...COMMON, augmentation: { ...COMMON.augmentation, foreground: 0.5 } },
  CPS: { ...COMMON, method: 'cps' },
  'pseudo-labels of volumes': {
    ...COMMON,
    method: 'action',
    action: { stages: ['2'], stage2: { steps: 4, cycles: 2, pseudo: 'volume' } },
  },
};

/** Losses of the first steps, and the bytes of volumes. */
async function losses(device: Device, input: TrainConfigInput, volumeBytes: number) {
  const config = trainConfig(input);
  const cases = {
    labelled: [1, 2].map((seed) => syntheticCase([10, 13, 9], seed, true)),
    unlabelled: config.method === 'supervised' ? [] : [3, 4].map((seed) => syntheticCase([14, 12, 11], seed, false)),
  };
  const [stage] = stagesOf(config);
  const trainer = await stage.create({ ...cases, classes: CLASSES, offset: 0, device, initialise: true, volumeBytes });
  const found: Record<string, number>[] = [];
  for (let step = 0; step < 4; step++) {
    await trainer.ready?.(step);
    found.push(await trainer.step(step));
  }
  trainer.destroy();
  return { found, volumes: trainer.memory.volumes };
}

for (const [name, input] of Object.entries(CONFIGS)) {
  gpuTest(`${name}: the same losses to the last bit with no, some and all volumes on the device`, async (device) => {
    const none = await losses(device, input, 0);
    const all = await losses(device, input, 2 ** 30);
    const some = await losses(device, input, all.volumes - 1);
    assert.equal(all.found, none.found);
    assert.equal(some.found, none.found);
    assert.is(none.volumes, 0);
    assert.ok(some.volumes > 0 && some.volumes < all.volumes, `${some.volumes} of ${all.volumes} bytes`);
    assert.is(new Set(all.found.map(({ loss }) => loss)).size, 4, 'every step has patches of its own');
  });
}

run();
