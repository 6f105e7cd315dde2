import * as assert from 'uvu/assert';
import type { Device } from '../../engine/device.ts';
import { DataError } from '../../engine/errors.ts';
import type { Triple } from '../../engine/shape.ts';
import type { ModelCard } from '../../runner/predict/model.ts';
import { loadModel, predictCase } from '../../runner/predict/predict_case.ts';
import { volumeOf, voxels } from '../data/volumes.ts';
import { gpuTest, run } from '../harness.ts';
import { random } from '../reference/dense.ts';
import { expectedClasses, LABELS, thresholdCard, thresholdWeights } from './threshold_model.ts';

const load = (device: Device, card: ModelCard) =>
  loadModel(device, card, thresholdWeights(card.channels.length), 'the model');

const noise = (shape: Triple, seed = 1) => random([shape[0] * shape[1] * shape[2]], seed).data;

function assertClasses(actual: ArrayLike<number>, expected: Int8Array, values = [0, 1, 2]): void {
  let wrong = 0;
  let counted = 0;
  for (let i = 0; i < expected.length; i++) {
    if (expected[i] < 0) continue;
    counted++;
    if (actual[i] !== values[expected[i]]) wrong++;
  }
  assert.ok(counted > 0.9 * expected.length, `only ${counted} of ${expected.length} voxels are clear`);
  assert.is(wrong, 0, `${wrong} of ${counted} voxels differ`);
}

for (const shape of [
  [9, 11, 7],
  [3, 5, 2],
] as Triple[]) {
  gpuTest(`every voxel of a [${shape}] volume has the class that its value says`, async (device) => {
    const image = volumeOf(noise(shape), shape);
    const { labels, probabilities } = await predictCase(load(device, thresholdCard()), image, 'image');
    assert.instance(labels, Uint8Array);
    assert.is(probabilities, undefined);
    assertClasses(labels, expectedClasses(image.data));
  });
}

gpuTest("classes become the labels' values, as uint16 where one is above 255", async (device) => {
  const image = volumeOf(noise([5, 6, 7]), [5, 6, 7]);
  for (const [values, type] of [
    [[0, 4, 255], Uint8Array],
    [[0, 7, 300], Uint16Array],
  ] as const) {
    const card = thresholdCard({ labels: LABELS.map((label, c) => ({ ...label, value: values[c] })) });
    const { labels } = await predictCase(load(device, card), image, 'image');
    assert.instance(labels, type);
    assertClasses(labels, expectedClasses(image.data), [...values]);
  }
});

gpuTest('channels keep their order', async (device) => {
  const shape: Triple = [6, 7, 5];
  const [first, last] = [noise(shape, 1), noise(shape, 2)];
  const model = load(device, thresholdCard({ channels: ['T1', 'T2'] }));
  const { labels } = await predictCase(model, volumeOf([...first, ...last], shape), 'image');
  assertClasses(labels, expectedClasses(last));
});

gpuTest('probabilities lie on the voxels of the image, add up to 1 and agree with the labels', async (device) => {
  const shape: Triple = [6, 9, 5];
  const image = volumeOf(noise(shape), shape, [1, 1, 2]);
  for (const spacing of [null, [1.7, 1.3, 1.9]] as (Triple | null)[]) {
    const model = load(device, thresholdCard({ spacing }));
    const { labels, probabilities } = await predictCase(model, image, 'image', { probabilities: true, tta: true });
    const n = labels.length;
    assert.is(probabilities!.length, 3 * n);
    for (let i = 0; i < n; i++) {
      const scores = [0, 1, 2].map((c) => probabilities![c * n + i]);
      assert.ok(Math.abs(scores[0] + scores[1] + scores[2] - 1) < 1e-5, `voxel ${i} has ${scores}`);
      assert.ok(scores[labels[i]] >= Math.max(...scores) - 1e-6, `voxel ${i} is ${labels[i]} by ${scores}`);
    }
  }
});

for (const spacing of [
  [2, 1.5, 3],
  [0.5, 0.8, 0.6],
  [3, 0.7, 1],
] as Triple[]) {
  gpuTest(`a plane stays where it is when the model works at ${spacing} mm`, async (device) => {
    const shape: Triple = [14, 17, 19];
    // millimetres from the plane through the centre with a normal that no axis has
    const normal = [0.6, -0.48, 0.64];
    const own: Triple = [1, 1.2, 0.9];
    const distance = voxels(shape, (...at) =>
      at.reduce((sum, i, a) => sum + normal[a] * own[a] * (i - (shape[a] - 1) / 2), 0),
    );
    const model = load(device, thresholdCard({ spacing, patch: [8, 8, 8] }));
    const { labels } = await predictCase(model, volumeOf(distance, shape, own), 'image');
    assert.is(labels.length, distance.length);
    // Beyond the centres of the model's outer voxels nothing is known but their own answer.
    const blurred = normal.reduce((sum, n, a) => sum + (Math.abs(n) * Math.max(0, spacing[a] - own[a])) / 2, 0.1);
    let near = 0;
    for (let i = 0; i < labels.length; i++) {
      if (Math.abs(distance[i]) < blurred) near++;
      else assert.is(labels[i] > 0, distance[i] > 0, `${distance[i].toFixed(2)} mm from the plane is ${labels[i]}`);
    }
    assert.ok(near < labels.length / 5, `${near} of ${labels.length} voxels are near the plane`);
  });
}

const refusals: [string, ArrayLike<number>, Triple, RegExp][] = [
  ['2D', noise([1, 6, 5]), [1, 6, 5], /^image is 2D \(shape \[z, y, x\] 1,6,5\)/],
  ['constant', new Float32Array(60).fill(3), [3, 4, 5], /^image has the value 3 in every voxel/],
  [
    'not finite',
    Float32Array.from({ length: 60 }, (_, i) => (i === 7 ? Number.NaN : i)),
    [3, 4, 5],
    /1 of 60 voxels that are NaN/,
  ],
  [
    'of two channels',
    noise([6, 4, 5]),
    [3, 4, 5],
    /^image has 2 channels but the model takes 1 \(MRI\); give one file/,
  ],
];
for (const [what, data, shape, message] of refusals) {
  gpuTest(`an image that is ${what} is refused`, async (device) => {
    const model = load(device, thresholdCard());
    const failure = await predictCase(model, volumeOf(data, shape), 'image').catch((error) => error);
    assert.instance(failure, DataError);
    assert.match(failure.message, message);
  });
}

gpuTest('a card and weights that do not fit together are refused, and nothing stays on the device', async (device) => {
  const card = thresholdCard();
  const { kernels: _, ...network } = card.network;
  const cases: [ModelCard, RegExp][] = [
    [{ ...card, labels: LABELS.slice(1) }, /names 1 channels and 2 labels, but its network has 1 and 3/],
    [
      { ...card, network: { ...card.network, channels: [8] } },
      /^m: these values do not fit the network: .*\[1, 1, 1, 1, 4\]/,
    ],
    [{ ...card, network: { ...network, channels: [4, 8] } }, /^m: a patch of \[5, 8, 4\]/],
    [{ ...card, network: { ...card.network, kernels: [[2, 2, 2]] } }, /^m: this U-Net cannot be built/],
  ];
  for (const [broken, message] of cases) {
    const patched = { ...broken, patch: [5, 8, 4] as Triple };
    assert.throws(
      () => loadModel(device, patched, thresholdWeights(), 'm'),
      (error: Error) => error instanceof DataError && message.test(error.message),
    );
  }
  assert.is(device.bytesHeld, 0);
});

gpuTest('a stop leaves between two passes of the network', async (device) => {
  const shape: Triple = [40, 16, 8];
  const stop = new AbortController();
  let passes = 0;
  const onProgress = () => {
    if (++passes === 3) stop.abort();
  };
  const model = load(device, thresholdCard());
  const held = device.bytesHeld;
  const failure = await predictCase(model, volumeOf(noise(shape), shape), 'image', {
    signal: stop.signal,
    onProgress,
  }).catch((error) => error);
  assert.is(failure, stop.signal.reason);
  assert.is(passes, 3);
  assert.is(device.bytesHeld, held);
});

run();
