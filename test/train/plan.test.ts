import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { FitError } from '../../engine/errors.ts';
import { checkPatch, unetSettings } from '../../engine/nn/unet3d_config.ts';
import { product, type Triple } from '../../engine/shape.ts';
import { trainConfig } from '../../runner/train/config.ts';
import { type Fingerprint, medians } from '../../runner/train/fingerprint.ts';
import { fitPlan } from '../../runner/train/fit.ts';
import type { Forecast } from '../../runner/train/forecast.ts';
import { type PlanWishes, planRun } from '../../runner/train/plan.ts';
import { topology } from '../../runner/train/topology.ts';

function dataset(grids: readonly [shape: Triple, spacing: Triple][], channel = 'MRI'): Fingerprint {
  const shapes = grids.map(([shape]) => shape);
  const spacings = grids.map(([, spacing]) => spacing);
  const extreme = (of: readonly Triple[], choose: (...values: number[]) => number) =>
    [0, 1, 2].map((a) => choose(...of.map((t) => t[a]))) as unknown as Triple;
  return {
    cases: grids.length,
    ofCases: grids.length,
    grids: grids.map(([shape, spacing], i) => ({ id: `c${i}`, shape, spacing, orientation: 'RAS' })),
    medianShape: medians(shapes),
    smallestShape: extreme(shapes, Math.min),
    largestShape: extreme(shapes, Math.max),
    medianSpacing: medians(spacings),
    smallestSpacing: extreme(spacings, Math.min),
    largestSpacing: extreme(spacings, Math.max),
    orientations: { RAS: grids.length },
    channels: [{ name: channel, mean: 0, sd: 1, low: -1, high: 1 }],
    classes: [],
  };
}

/** The plan, after its network was found to be one that can be built for its patch. */
function planned(f: Fingerprint, wishes: Partial<PlanWishes> = {}) {
  const { config, reasons } = planRun(f, { software: true, ...wishes });
  const { channels, kernels, strides } = trainConfig(config).network;
  const settings = unetSettings({
    inChannels: 1,
    classes: 2,
    channels,
    ...(kernels && { kernels }),
    ...(strides && { strides }),
  });
  checkPatch(settings.strides, config.patch);
  return { config, settings, reasons: reasons.join('\n') };
}

test('one spacing: nothing is resampled and the patch has the shape of the median volume', () => {
  const { config, settings, reasons } = planned(
    dataset([
      [
        [34, 50, 36],
        [1, 1, 1],
      ],
      [
        [36, 50, 34],
        [1, 1, 1],
      ],
    ]),
  );
  assert.equal(config.patch, [32, 48, 32]);
  assert.is(config.batch, 2);
  assert.equal(settings.channels, [8, 16, 32, 64]);
  assert.is(config.preprocessing?.spacing, null);
  assert.is(config.network?.kernels, null);
  assert.is(config.network?.strides, null);
  assert.match(reasons, /nothing is resampled/);
});

test('a GPU gets a larger patch and network', () => {
  const { config, settings } = planned(
    dataset([
      [
        [300, 300, 300],
        [1, 1, 1],
      ],
    ]),
    { software: false },
  );
  assert.equal(config.patch, [96, 96, 96]);
  assert.equal(settings.channels, [16, 32, 64, 128, 256]);
});

test('mixed spacings: everything is resampled to the median, and the patch is planned there', () => {
  const f = dataset([
    [
      [40, 40, 40],
      [1, 1, 1],
    ],
    [
      [20, 40, 40],
      [2, 1, 1],
    ],
    [
      [40, 80, 40],
      [1, 0.5, 1],
    ],
  ]);
  const { config, reasons } = planned(f);
  assert.equal(config.preprocessing?.spacing, [1, 1, 1]);
  assert.match(reasons, /resampled to the median, 1 x 1 x 1 mm/);
  assert.match(reasons, /median volume of 40 x 40 x 40 voxels/);
});

test('thick slices: flat kernels and pooling until the other axes have caught up', () => {
  const { settings, reasons } = planned(
    dataset([
      [
        [20, 64, 64],
        [5, 1, 1],
      ],
    ]),
  );
  assert.equal(settings.kernels.slice(0, 3), [
    [1, 3, 3],
    [1, 3, 3],
    [3, 3, 3],
  ]);
  assert.equal(settings.strides.slice(0, 3), [
    [1, 2, 2],
    [1, 2, 2],
    [2, 2, 2],
  ]);
  assert.match(reasons, /thick slices \(5 x 1 x 1 mm\): flat kernels in the first 2 levels/);
});

test('an axis is not pooled below four voxels', () => {
  assert.equal(topology([8, 32, 32], [1, 1, 1]).strides, [
    [2, 2, 2],
    [1, 2, 2],
    [1, 2, 2],
  ]);
  assert.equal(topology([7, 7, 7], [1, 1, 1]), { kernels: [[3, 3, 3]], strides: [] });
});

test('a patch that is asked for is kept, and halved only without remainder', () => {
  const f = dataset([
    [
      [40, 40, 40],
      [1, 1, 1],
    ],
  ]);
  const { config, settings } = planned(f, { patch: [30, 48, 32] });
  assert.equal(config.patch, [30, 48, 32]);
  assert.equal(settings.strides, [
    [2, 2, 2],
    [1, 2, 2],
    [1, 2, 2],
  ]);
});

test('fewer levels than asked for: channels agree, and the reason is given', () => {
  const f = dataset([
    [
      [40, 40, 40],
      [1, 1, 1],
    ],
  ]);
  const { settings, reasons } = planned(f, { patch: [16, 16, 16], levels: 5, channels: 4 });
  assert.equal(settings.channels, [4, 8, 16]);
  assert.match(reasons, /5 levels were asked for, but a patch of 16 x 16 x 16 can be halved only 2 times/);
  assert.equal(planned(f, { levels: 2 }).settings.channels, [8, 16]);
});

test('a spacing that is asked for is taken, and null keeps mixed ones', () => {
  const f = dataset([
    [
      [40, 40, 40],
      [1, 1, 1],
    ],
    [
      [40, 40, 40],
      [2, 2, 2],
    ],
  ]);
  assert.equal(planned(f, { spacing: [2, 2, 2] }).config.preprocessing?.spacing, [2, 2, 2]);
  assert.is(planned(f, { spacing: null }).config.preprocessing?.spacing, null);
});

test('a channel called CT is windowed', () => {
  assert.is(
    planned(
      dataset(
        [
          [
            [40, 40, 40],
            [1, 1, 1],
          ],
        ],
        'CT',
      ),
    ).config.preprocessing?.normalisation,
    'ct',
  );
  assert.is(
    planned(
      dataset([
        [
          [40, 40, 40],
          [1, 1, 1],
        ],
      ]),
    ).config.preprocessing?.normalisation,
    'z-score',
  );
});

/** A training that takes 100 bytes a voxel of its batch, where no buffer may be larger than `limit`, with volumes of 1 MB each. */
function forecaster(limit = Infinity, cases = 1, predictionBytes = 0) {
  return async ({ patch, batch }: { patch: Triple; batch: number }, volumeBytes: number): Promise<Forecast> => {
    const step = 100 * batch * product(patch);
    const volumes = 1e6 * Math.min(cases, Math.floor(volumeBytes / 1e6));
    if (step > limit) throw new FitError(`'conv3d' needs ${step} bytes in one buffer but this adapter allows ${limit}`);
    return {
      memory: { parameters: 0, volumes, inputs: 0, step, readback: 0, total: step + volumes },
      stages: [],
      predictionBytes,
      imageBytes: 0,
      labelBytes: 0,
    };
  };
}

const CUBE = dataset([
  [
    [32, 32, 32],
    [1, 1, 1],
  ],
]);

test('a budget is met with one patch a step first, then with smaller patches', async () => {
  const roomy = await fitPlan(CUBE, { software: true }, forecaster());
  assert.equal([roomy.config.batch, roomy.config.patch], [2, [32, 32, 32]]);
  const single = await fitPlan(CUBE, { software: true }, forecaster(), 4_000_000);
  assert.equal([single.config.batch, single.config.patch], [1, [32, 32, 32]]);
  assert.match(single.reasons.join('\n'), /to fit 3\.81 MiB: 1 patch a step instead of 2$/);
  const small = await fitPlan(CUBE, { software: true }, forecaster(), 2_000_000);
  assert.ok(small.forecast.memory.total <= 2_000_000);
  assert.ok(small.forecast.memory.total > 1_000_000, 'no smaller than it must be');
  assert.match(small.reasons.join('\n'), /patch .* instead of 32 x 32 x 32/);
});

test('whole volumes get what a budget leaves, and make no patch smaller', async () => {
  const most = 2 ** 30;
  const fitted = async (budget?: number, cases = 20) => {
    const { config, volumeBytes, forecast } = await fitPlan(
      CUBE,
      { software: true },
      forecaster(Infinity, cases),
      budget,
    );
    return { config, volumeBytes, volumes: forecast.memory.volumes, total: forecast.memory.total };
  };
  const usual = await fitted();
  const step = 100 * 2 * 32 ** 3;
  assert.equal(usual, { ...usual, volumeBytes: most, volumes: 20e6, total: step + 20e6 });
  for (const left of [5.5e6, 999, 0]) {
    const { config, ...found } = await fitted(step + left);
    const volumes = 1e6 * Math.floor(left / 1e6);
    assert.equal(found, { volumeBytes: left, volumes, total: step + volumes });
    assert.equal(config, usual.config);
  }
  const predicting = await fitPlan(CUBE, { software: true }, forecaster(Infinity, 20, 2e6), step + 5.5e6);
  assert.equal([predicting.volumeBytes, predicting.forecast.memory.volumes], [3.5e6, 3e6]);
  const tight = await fitPlan(CUBE, { software: true }, forecaster(Infinity, 20, 2e6), step + 1.9e6);
  assert.is(tight.config.batch, 1, 'a prediction has to fit too');
  const vast = await fitted(1e10, 1e6);
  assert.equal([vast.volumeBytes, vast.volumes], [most, 1073e6]);
});

test("the adapter's own limits are met in the same way", async () => {
  const { config, forecast, reasons } = await fitPlan(CUBE, { software: true }, forecaster(2_000_000));
  assert.is(config.batch, 1);
  assert.ok(forecast.memory.step <= 2_000_000);
  assert.match(reasons.join('\n'), /to fit the adapter's limits/);
});

test('what is asked for stays, and what cannot fit is told with three ways out', async () => {
  const wishes = { software: true, patch: [32, 32, 32], batch: 2 } as const;
  const failure = await fitPlan(CUBE, wishes, forecaster(), 4_000_000).catch((error) => error);
  assert.instance(failure, FitError);
  assert.is(
    failure.message,
    'training with 2 patches of 32 x 32 x 32 does not fit 3.81 MiB (--vram): it needs 6.25 MiB of GPU memory; use a larger --vram, fewer --channels than 8, or a smaller --patch than 32,32,32 or a --batch below 2',
  );
  const none = await fitPlan(CUBE, { software: true }, forecaster(), 900).catch((error) => error);
  assert.instance(none, FitError);
  assert.match(none.message, /does not fit 900 B \(--vram\).* use a larger --vram, fewer --channels than 8, or/);
});

test.run();
