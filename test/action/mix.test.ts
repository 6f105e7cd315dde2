import * as assert from 'uvu/assert';
import { applyMix, classPresence, drawMix, mix, mixWords } from '../../engine/action/mix.ts';
import { UsageError } from '../../engine/errors.ts';
import { randomWords } from '../../engine/ops/random_words.ts';
import { compute } from '../../engine/program.ts';
import { Recording } from '../../engine/recording.ts';
import { createStepCounters } from '../../engine/step_counters.ts';
import { assertUniform } from '../data/chi_squared.ts';
import { gpuTest, run } from '../harness.ts';
import * as reference from '../reference/mix.ts';
import { onDevice, presentIn, type Size, u32, volumes } from './mix_volumes.ts';

for (const [name, batch, size, channels, classes, allowed, settings] of [
  [
    'ClassMix',
    2,
    [5, 7, 9],
    1,
    3,
    [
      [0, 1, 2],
      [0, 2],
    ],
    { mixing: 'classmix', box: 'slab', keepOneClass: false },
  ],
  [
    'ClassMix of 40 classes',
    3,
    [6, 5, 11],
    2,
    40,
    [[0, 1, 31, 32, 33, 39]],
    { mixing: 'classmix', box: 'slab', keepOneClass: true },
  ],
  ['CutMix of a slab', 3, [22, 9, 14], 1, 2, [[0, 1]], { mixing: 'cutmix', box: 'slab', keepOneClass: false }],
  ['CutMix of a cuboid', 2, [8, 13, 6], 5, 4, [[0, 1, 3]], { mixing: 'cutmix', box: 'cuboid', keepOneClass: false }],
  ['Cutout', 1, [6, 8, 10], 1, 2, [[0, 1]], { mixing: 'cutout', box: 'cuboid', keepOneClass: false }],
  [
    'both, over a thousand voxels',
    4,
    [9, 12, 14],
    1,
    3,
    [[0, 1, 2], [0]],
    { mixing: 'both', box: 'cuboid', keepOneClass: true },
  ],
] as [string, number, Size, number, number, number[][], reference.MixSettings][]) {
  gpuTest(`${name} equals the reference on image, labels and confidence`, async (device) => {
    const counters = createStepCounters(device, 17);
    const kinds = new Set<string>();
    for (let step = 0; step < 6; step++) {
      counters.setStep(step);
      const source = volumes(batch, size, channels, allowed, 3 + step);
      const input = onDevice(device, source, size, channels);
      const found = (await compute(device, (rec) => {
        const words = randomWords(rec, counters.tensor, 9, [batch, mixWords(classes)]);
        return { ...mix(rec, input, classes, words, settings) };
      })) as unknown as Record<string, Float32Array | Uint32Array>;
      const width = mixWords(classes);
      const words = reference.words(17, step, 9, batch * width);
      const plans = source.labels.map((labels, i) =>
        reference.drawMix(words.slice(i * width, (i + 1) * width), presentIn(labels, classes), size, settings),
      );
      for (const plan of plans) kinds.add(plan.kind);
      const expected = reference.applyMix(source, plans, size, channels);
      assert.equal(
        [...found.image],
        expected.image.flatMap((a) => [...a]),
        `image of step ${step}`,
      );
      assert.equal([...found.labels], expected.labels.flat(), `labels of step ${step}`);
      assert.equal(
        [...found.confidence],
        expected.confidence.flatMap((a) => [...a]),
        `confidence of step ${step}`,
      );
    }
    if (settings.mixing === 'both') assert.equal([...kinds].sort(), ['classmix', 'cutmix']);
  });
}

gpuTest('presence finds every class, a single voxel too, and ignores labels that are none', async (device) => {
  const labels = new Uint32Array(2 * 3000).fill(0xffffffff);
  labels[2999] = 33;
  labels[1234] = 0;
  labels[3000 + 5] = 7;
  labels[3000 + 6] = 34;
  const { bits } = await compute(device, (rec) => ({
    bits: classPresence(rec, u32(device, [2, 10, 20, 15], labels), 34),
  }));
  assert.equal([...(bits as unknown as Uint32Array)], [1, 2, 128, 0]);
});

gpuTest('a hand-worked ClassMix: one class of two kept, the other taken from the partner', async (device) => {
  const input = {
    image: device.tensor([2, 1, 1, 4, 1], 'image', { data: [10, 11, 12, 13, 20, 21, 22, 23] }),
    labels: u32(device, [2, 1, 1, 4], [0, 1, 1, 0, 0, 0, 0, 1]),
    confidence: device.tensor([2, 1, 1, 4], 'confidence', {
      dense: true,
      data: [0.5, 0.625, 0.75, 0.875, 1, 0, 0.25, 0.125],
    }),
  };
  // Sample 0 keeps class 1, sample 1 keeps class 0.
  const plan = u32(device, [2, 8], [1, 0, 0, 0, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 1]);
  const mixed = await compute(device, (rec) => ({ ...applyMix(rec, input, 2, plan) }));
  assert.equal([...mixed.image], [20, 11, 12, 23, 20, 21, 22, 13]);
  assert.equal([...mixed.labels], [0, 1, 1, 1, 0, 0, 0, 0]);
  assert.equal([...mixed.confidence], [1, 0.625, 0.75, 0.125, 1, 0, 0.25, 0.875]);
});

gpuTest('an image of one class becomes its partner, or stays when asked to keep a class', async (device) => {
  const size: Size = [2, 3, 4];
  const source = volumes(2, size, 1, [[1], [0, 1]], 5);
  const input = onDevice(device, source, size, 1);
  for (const keepOneClass of [false, true]) {
    const mixed = await compute(device, (rec) => {
      const words = u32(device, [2, mixWords(2)], reference.words(1, 2, 3, 18));
      return { ...mix(rec, input, 2, words, { mixing: 'classmix', box: 'slab', keepOneClass }) };
    });
    assert.equal([...mixed.image].slice(0, 24), [...source.image[keepOneClass ? 0 : 1]]);
  }
});

gpuTest('every half of the classes is as likely, and so is every place of a cuboid', async (device) => {
  const samples = 6000;
  const present = u32(device, [samples, 1], new Uint32Array(samples).fill(0b11101));
  const counters = createStepCounters(device, 3);
  const { plan } = await compute(device, (rec) => {
    const words = randomWords(rec, counters.tensor, 1, [samples, mixWords(5)]);
    const options = { mixing: 'classmix', box: 'cuboid', keepOneClass: false } as const;
    return { plan: drawMix(rec, present, 5, [10, 5, 5], words, options) };
  });
  const subsets = new Map<number, number>();
  const extents = new Map<number, number>();
  const starts = new Map<number, number>();
  for (let i = 0; i < samples; i++) {
    const row = plan.subarray(i * 8, i * 8 + 8);
    subsets.set(row[7], (subsets.get(row[7]) ?? 0) + 1);
    const depth = row[2] - row[1];
    extents.set(depth, (extents.get(depth) ?? 0) + 1);
    if (depth === 5) starts.set(row[1], (starts.get(row[1]) ?? 0) + 1);
  }
  assert.is(subsets.size, 6, 'pairs out of four classes');
  assertUniform('subsets', [...subsets.values()]);
  assert.equal([...extents.keys()].sort(), [4, 5, 6, 7]);
  assertUniform('extents', [...extents.values()]);
  assert.equal([...starts.keys()].sort(), [0, 1, 2, 3, 4, 5]);
  assertUniform('starts', [...starts.values()]);
});

gpuTest('a batch of one is an error that names the options, except where nothing is mixed', async (device) => {
  const size: Size = [2, 2, 2];
  const input = onDevice(device, volumes(1, size, 1, [[0, 1]], 5), size, 1);
  const words = u32(device, [1, mixWords(2)], reference.words(1, 2, 3, 9));
  const rec = new Recording(device, 'errors');
  for (const mixing of ['classmix', 'cutmix', 'both'] as const) {
    assert.throws(
      () => mix(rec, input, 2, words, { mixing, box: 'slab', keepOneClass: false }),
      (error: Error) =>
        error instanceof UsageError && /unlabelledBatch is 1; set stage2.unlabelledBatch/.test(error.message),
    );
  }
  assert.is(mix(rec, input, 2, words, { mixing: 'none', box: 'slab', keepOneClass: false }), input);
  assert.is(
    mix(rec, input, 2, words, { mixing: 'cutout', box: 'slab', keepOneClass: false }).image.shape,
    input.image.shape,
  );
});

run();
