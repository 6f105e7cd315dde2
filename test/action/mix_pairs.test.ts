import * as assert from 'uvu/assert';
import { mixWords } from '../../engine/action/mix.ts';
import { mixPairs } from '../../engine/action/mix_pairs.ts';
import { ShapeError, UsageError } from '../../engine/errors.ts';
import { randomWords } from '../../engine/ops/random_words.ts';
import { compute } from '../../engine/program.ts';
import { Recording } from '../../engine/recording.ts';
import { createStepCounters } from '../../engine/step_counters.ts';
import { gpuTest, run } from '../harness.ts';
import * as reference from '../reference/mix.ts';
import { mixPairs as mixPairsReference } from '../reference/mix_pairs.ts';
import { onDevice, presentIn, type Size, u32, volumes } from './mix_volumes.ts';

const NONE = 0xffffffff;

interface Case {
  /** Unlabelled and labelled patches. */
  batches: [number, number];
  size: Size;
  channels: number;
  classes: number;
  /** Labels that occur in the patches of each source. */
  found: [number[][], number[][]];
  settings: reference.MixSettings;
  shared?: boolean;
}

const CASES: Record<string, Case> = {
  'ClassMix, labels that are none': {
    ...{ batches: [2, 2], size: [5, 7, 9], channels: 1, classes: 3 },
    found: [
      [
        [0, 1, 2],
        [0, 2],
      ],
      [
        [0, 1, 2, NONE],
        [NONE, 1, 7],
      ],
    ],
    settings: { mixing: 'classmix', box: 'slab', keepOneClass: false },
    shared: true,
  },
  'ClassMix of 40 classes, more unlabelled patches': {
    ...{ batches: [5, 2], size: [6, 5, 11], channels: 2, classes: 40 },
    found: [[[0, 1, 31, 32, 33, 39]], [[0, 5, 32, 38, 39]]],
    settings: { mixing: 'classmix', box: 'slab', keepOneClass: true },
  },
  'CutMix of a cuboid, more labelled patches': {
    ...{ batches: [2, 3], size: [8, 13, 6], channels: 5, classes: 4 },
    found: [[[0, 1, 3]], [[0, 2]]],
    settings: { mixing: 'cutmix', box: 'cuboid', keepOneClass: false },
    shared: true,
  },
  'one patch of each, a slab': {
    ...{ batches: [1, 1], size: [22, 9, 14], channels: 1, classes: 2 },
    found: [[[0, 1]], [[0, 1]]],
    settings: { mixing: 'cutmix', box: 'slab', keepOneClass: false },
  },
  'both, over a thousand voxels': {
    ...{ batches: [4, 3], size: [9, 12, 14], channels: 1, classes: 3 },
    found: [[[0, 1, 2], [0]], [[0, 1, 2]]],
    settings: { mixing: 'both', box: 'cuboid', keepOneClass: true },
    shared: true,
  },
};

for (const [name, c] of Object.entries(CASES)) {
  gpuTest(`${name}: image, labels, confidence and weights equal the reference`, async (device) => {
    const { size, channels, classes, settings } = c;
    const [batch, known] = c.batches;
    const counters = createStepCounters(device, 17);
    const share = Float32Array.from({ length: batch }, (_, i) => 0.75 / (i + 1));
    const factor = 0.5;
    const kinds = new Set<string>();
    for (let step = 0; step < 6; step++) {
      counters.setStep(step);
      const source = volumes(batch, size, channels, c.found[0], 3 + step);
      const labelled = volumes(known, size, channels, c.found[1], 30 + step);
      const input = onDevice(device, source, size, channels);
      const partners = onDevice(device, labelled, size, channels);
      const shares = c.shared ? device.tensor([batch], 'share', { dense: true, data: share }) : undefined;
      const result = await compute(device, (rec) => {
        const words = randomWords(rec, counters.tensor, 9, [batch, mixWords(classes)]);
        return {
          ...mixPairs(rec, input, partners, classes, words, settings, { unlabelledVoxels: factor, share: shares }),
        };
      });
      const width = mixWords(classes);
      const words = reference.words(17, step, 9, batch * width);
      const plans = source.labels.map((own, i) => {
        const base = i % 2 === 0 ? own : labelled.labels[i % known];
        return reference.drawMix(words.slice(i * width, (i + 1) * width), presentIn(base, classes), size, settings);
      });
      for (const { kind } of plans) kinds.add(kind);
      const expected = mixPairsReference(source, labelled, plans, size, channels, (i) =>
        Math.fround(factor * (c.shared ? share[i] : 1)),
      );
      for (const key of ['image', 'labels', 'confidence', 'weights'] as const) {
        const flat = expected[key].flatMap((a) => [...a]);
        assert.equal([...result[key]], flat, `${key} of step ${step}`);
      }
    }
    if (settings.mixing === 'both') assert.equal([...kinds].sort(), ['classmix', 'cutmix']);
  });
}

gpuTest('by hand: a labelled region in the first patch, a region of the second in a labelled patch', async (device) => {
  const row = (data: number[]) => ({
    image: device.tensor([2, 1, 1, 4, 1], 'image', { data }),
    confidence: device.tensor([2, 1, 1, 4], 'confidence', { dense: true, data: data.map((v) => v / 64) }),
  });
  const input = {
    ...row([10, 11, 12, 13, 20, 21, 22, 23]),
    labels: u32(device, [2, 1, 1, 4], [0, 1, 1, 0, 1, 1, 1, 1]),
  };
  const partners = {
    image: row([30, 31, 32, 33, 40, 41, 42, 43]).image,
    labels: u32(device, [2, 1, 1, 4], [1, 1, 1, 1, 1, 0, 0, 0]),
  };
  // Of two classes one is kept: word 0 the first of them, a word of all ones the second.
  const words = new Uint32Array(2 * mixWords(2));
  words[7] = 0xffffffff;
  const mixed = await compute(device, (rec) => ({
    ...mixPairs(
      rec,
      input,
      partners,
      2,
      u32(device, [2, mixWords(2)], words),
      { mixing: 'classmix', box: 'slab', keepOneClass: false },
      { unlabelledVoxels: 0.25 },
    ),
  }));
  assert.equal(
    [...mixed.image],
    [30, 11, 12, 33, 20, 41, 42, 43],
    'class 1 of the first kept, class 0 of the labelled one',
  );
  assert.equal([...mixed.labels], [1, 1, 1, 1, 1, 0, 0, 0]);
  assert.equal([...mixed.confidence], [1, 11 / 64, 12 / 64, 1, 20 / 64, 1, 1, 1]);
  assert.equal([...mixed.weights], [1, 0.25, 0.25, 1, 0.25, 1, 1, 1]);
});

gpuTest('no use for a partner, or partners of another size: errors that say so', async (device) => {
  const input = onDevice(device, volumes(1, [2, 2, 2], 1, [[0, 1]], 5), [2, 2, 2], 1);
  const words = u32(device, [1, mixWords(2)], reference.words(1, 2, 3, 9));
  const rec = new Recording(device, 'errors');
  const mixing = (kind: 'none' | 'cutout' | 'cutmix', partners: typeof input) => () =>
    mixPairs(
      rec,
      input,
      partners,
      2,
      words,
      { mixing: kind, box: 'slab', keepOneClass: false },
      { unlabelledVoxels: 1 },
    );
  for (const kind of ['none', 'cutout'] as const) {
    assert.throws(
      mixing(kind, input),
      (e: Error) =>
        e instanceof UsageError &&
        e.message.includes(`'${kind}' takes nothing`) &&
        /stage2.partner is 'labelled'; set/.test(e.message),
    );
  }
  const other = onDevice(device, volumes(1, [2, 2, 3], 1, [[0, 1]], 5), [2, 2, 3], 1);
  assert.throws(
    mixing('cutmix', other),
    (e: Error) => e instanceof ShapeError && /\[1, 2, 2, 2, 1\] and .*\[1, 2, 2, 3, 1\] must agree/.test(e.message),
  );
});

run();
