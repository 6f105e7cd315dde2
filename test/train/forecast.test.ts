/** What a training is said to take, and what it takes. */
import * as assert from 'uvu/assert';
import { Device } from '../../engine/device.ts';
import { dryGpu } from '../../engine/dry_gpu.ts';
import { FitError } from '../../engine/errors.ts';
import { Parameters } from '../../engine/nn/parameters.ts';
import { unet3d } from '../../engine/nn/unet3d.ts';
import { unetSettings } from '../../engine/nn/unet3d_config.ts';
import { unetFlops } from '../../engine/nn/unet3d_flops.ts';
import { product, type Triple } from '../../engine/shape.ts';
import { slidingWindow, slidingWindowBytes } from '../../runner/predict/sliding_window.ts';
import { type TrainConfigInput, trainConfig } from '../../runner/train/config.ts';
import { forecastTraining } from '../../runner/train/forecast.ts';
import { stagesOf } from '../../runner/train/methods.ts';
import { trainingRate } from '../../runner/train/probe.ts';
import { gpuTest, run } from '../harness.ts';
import { noiseCase } from './cases.ts';

const SHAPES: readonly Triple[] = [
  [20, 18, 17],
  [12, 30, 16],
];

/** Of the cases without a label; larger than the others. */
const UNLABELLED: readonly Triple[] = [
  [24, 18, 20],
  [16, 16, 16],
];

const VALIDATION: readonly Triple[] = [[9, 10, 11]];

const CONFIGS: Record<string, TrainConfigInput> = {
  'SGD, instance norm': { patch: [16, 16, 16], network: { channels: [4, 8] } },
  'AdamW, batch norm, elastic, blur, dropout': {
    patch: [8, 16, 12],
    batch: 1,
    network: { channels: [4, 8], norm: 'batch', up: 'trilinear', dropout: 0.2 },
    optimiser: { name: 'adamw', clip: 0 },
    augmentation: { elastic: {}, intensity: 1.5, foreground: 0.5 },
  },
  'flat kernels, no intensity': {
    patch: [5, 8, 8],
    network: {
      channels: [4, 4],
      kernels: [
        [1, 3, 3],
        [3, 3, 3],
      ],
      strides: [[1, 2, 2]],
      norm: 'none',
    },
    augmentation: { intensity: 0 },
    optimiser: { momentum: 0 },
  },
  ACTION: {
    method: 'action',
    patch: [16, 16, 16],
    network: { channels: [4, 8], dropout: 0.2 },
    augmentation: { weak: 0.5 },
    action: {
      global: { bins: 2, K: 8 },
      local: { K: 8 },
      stage1a: { steps: 9 },
      stage1b: { steps: 4 },
      stage2: { steps: 3 },
    },
  },
  'ACTION with pseudo-labels of volumes': {
    method: 'action',
    patch: [16, 16, 16],
    network: { channels: [4, 8] },
    augmentation: { unlabelled: { elastic: {} } },
    action: { stages: ['2'], stage2: { steps: 3, pseudo: 'volume' } },
  },
  'Mean Teacher': { method: 'mean-teacher', patch: [8, 8, 8], network: { channels: [4, 8] } },
  'UA-MT': {
    method: 'ua-mt',
    patch: [8, 8, 8],
    network: { channels: [4, 8], dropout: 0.2 },
    optimiser: { name: 'adamw' },
    uaMt: { passes: 2 },
  },
  CPS: { method: 'cps', patch: [8, 8, 8], network: { channels: [4, 8], dropout: 0.2 } },
  'ACTION as published': {
    method: 'action',
    preset: 'paper',
    patch: [20, 20, 20],
    network: { channels: [4, 8, 8] },
    augmentation: { strong: 0 },
  },
};

const dry = (device: Device, limits: Partial<GPUSupportedLimits> = {}) =>
  new Device(dryGpu({ ...copyOf(device.limits), ...limits } as GPUSupportedLimits), {
    software: device.software,
    kind: device.uniformWindows ? 'llvmpipe' : undefined,
  });

function copyOf(limits: GPUSupportedLimits): Record<string, number> {
  const copy: Record<string, number> = {};
  for (const key in limits) copy[key] = limits[key as keyof GPUSupportedLimits] as number;
  return copy;
}

/** Room for no whole volume, for some, for all. */
const ROOM = [0, 100_000, 2 ** 30];

for (const [i, [name, input]] of Object.entries(CONFIGS).entries()) {
  const volumeBytes = ROOM[i % 3];
  gpuTest(
    `predicted bytes are those allocated, and all are given back: ${name}, ${volumeBytes} for volumes`,
    async (device) => {
      const config = trainConfig(input);
      const dataset = {
        channels: [{ name: 'MRI' }],
        labels: ['background', 'cube'].map((name, value) => ({ name, value })),
      };
      const grid = (shape: Triple) => ({ shape, spacing: [1, 1, 1] as const });
      const grids = { labelled: SHAPES.map(grid), unlabelled: UNLABELLED.map(grid), validation: VALIDATION.map(grid) };
      const predicted = await forecastTraining(dry(device), config, dataset, grids, volumeBytes);
      assert.is(device.bytesHeld, 0);
      assert.is(
        predicted.imageBytes,
        4 * [...SHAPES, ...UNLABELLED, ...VALIDATION].reduce((sum, shape) => sum + product(shape), 0),
      );
      const volumes = name.endsWith('volumes');
      const voxels = UNLABELLED.reduce((sum, shape) => sum + product(shape), 0);
      assert.is(predicted.labelBytes, volumes ? 4 * 2 * voxels : 0);
      const labelled = SHAPES.map((shape, i) => noiseCase(shape, i));
      const unlabelled = UNLABELLED.map((shape, i) => ({ ...noiseCase(shape, 9 + i), label: null }));
      let most = 0;
      for (const [i, stage] of stagesOf(config).entries()) {
        const trainer = await stage.create({
          ...{ device, labelled, unlabelled, classes: 2, offset: 0, initialise: true, volumeBytes },
        });
        const { name, steps, ...forecast } = predicted.stages[i];
        assert.equal([name, steps], [stage.name, stage.steps]);
        const { memory, commands, flops } = trainer;
        assert.equal(forecast, { memory, commands, flops });
        assert.is(device.bytesHeld, memory.total);
        const { parameters, volumes, inputs, step, readback, total } = memory;
        assert.is(parameters + volumes + inputs + step + readback, total);
        assert.ok(volumeBytes === 0 ? volumes === 0 : volumes > 0 && volumes <= volumeBytes);
        for (let i = 0; i < 3; i++) {
          await trainer.ready?.(i);
          await trainer.step(i);
        }
        assert.is(device.bytesHeld, total);
        most = Math.max(most, total);
        trainer.destroy();
        assert.is(device.bytesHeld, 0);
      }
      assert.is(predicted.memory.total, most);
    },
  );
}

gpuTest('a buffer over the limit of the adapter is refused before anything is allocated', async (device) => {
  const config = trainConfig({ patch: [16, 16, 16], network: { channels: [8, 16] } });
  const dataset = { channels: [{ name: 'MRI' }], labels: [0, 1].map((value) => ({ name: `${value}`, value })) };
  const small = dry(device, { maxStorageBufferBindingSize: 200_000 });
  const grids = { labelled: [{ shape: [20, 20, 20], spacing: [1, 1, 1] }], unlabelled: [], validation: [] } as const;
  const failure = await forecastTraining(small, config, dataset, grids, 0).catch((error) => error);
  assert.instance(failure, FitError);
  assert.match(failure.message, /needs \d+ bytes in one buffer but this adapter allows 200000/);
});

for (const probabilities of [false, true]) {
  gpuTest(
    `a prediction takes the bytes that are forecast, ${probabilities ? 'with' : 'without'} probabilities`,
    async (device) => {
      const network = unet3d({ inChannels: 2, classes: 3, channels: [4, 8] });
      const volume = { shape: [17, 20, 14] as Triple, channels: 2 };
      const patch: Triple = [8, 8, 8];
      const planned = dry(device);
      const none = Parameters.create(planned, network.specs, { seed: 0, initialise: false });
      const held = planned.bytesHeld;
      const expected = await slidingWindowBytes(planned, network, none, volume, patch, { probabilities });
      assert.is(planned.bytesHeld, held, 'everything is given back');

      const parameters = Parameters.create(device, network.specs, { seed: 0 });
      const before = device.bytesHeld;
      const create = device.createBuffer.bind(device);
      let most = 0;
      device.createBuffer = (...args) => {
        const buffer = create(...args);
        most = Math.max(most, device.bytesHeld - before);
        return buffer;
      };
      const data = new Float32Array(2 * product(volume.shape));
      await slidingWindow(device, network, parameters, { ...volume, data }, patch, { probabilities });
      // With probabilities the labels are read first, and take less.
      assert.is(most, expected);
    },
  );
}

gpuTest(
  'what a validation takes is forecast, for the largest volume, and nothing where nothing is predicted',
  async (device) => {
    const config = trainConfig({ patch: [8, 8, 8], network: { channels: [4, 8] } });
    const dataset = { channels: [{ name: 'MRI' }], labels: [0, 1].map((value) => ({ name: `${value}`, value })) };
    const grid = (size: number) => ({ shape: [size, size, size] as Triple, spacing: [1, 1, 1] as const });
    const bytes = async (...sizes: number[]) => {
      const grids = { labelled: [grid(12)], unlabelled: [], validation: sizes.map(grid) };
      return (await forecastTraining(dry(device), config, dataset, grids, 0)).predictionBytes;
    };
    assert.is(await bytes(), 0);
    assert.is(await bytes(9, 14, 11), await bytes(14));
    assert.ok((await bytes(14)) > (await bytes(11)));
  },
);

gpuTest('operations are counted by hand for a small network', async () => {
  const settings = unetSettings({ inChannels: 1, classes: 3, channels: [4, 8], blocksPerLevel: 2 });
  const fine = 2 * 8 ** 3;
  const coarse = 2 * 4 ** 3;
  const encoder = fine * 27 * (1 * 4 + 4 * 4) + coarse * 27 * (4 * 8 + 8 * 8);
  const up = coarse * 8 * 8 * 4;
  const decoder = fine * 27 * (8 * 4 + 4 * 4);
  const forward = 2 * (encoder + up + decoder + fine * 4 * 3);
  const counted = unetFlops(settings, 2, [8, 8, 8]);
  assert.is(counted.forward, forward);
  assert.is(counted.training, 3 * forward - 2 * fine * 27 * 4);
});

gpuTest('the rate of training is measured and leaves nothing behind', async (device) => {
  const rate = await trainingRate(device, 4, [4, 4, 4]);
  assert.ok(rate > 0 && Number.isFinite(rate), String(rate));
  assert.is(device.bytesHeld, 0);
});

run();
