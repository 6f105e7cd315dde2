import * as assert from 'uvu/assert';
import { confidentShare, pseudoLabels, unsupervisedLoss } from '../../engine/action/pseudo.ts';
import { compute } from '../../engine/program.ts';
import { gpuTest, run, upload } from '../harness.ts';
import { randomLabels, uploadLabels } from '../ops/labels.ts';
import { random } from '../reference/dense.ts';

gpuTest('the weight of an image is its share of confident valid voxels', async (device) => {
  for (const shape of [
    [2, 1, 1, 5],
    [3, 7, 9, 11],
    [2, 20, 30, 25],
  ]) {
    const voxels = shape[1] * shape[2] * shape[3];
    const labels = randomLabels(shape[0] * voxels, 3, 4);
    const confidence = random([shape[0], voxels], 6).data.map((v) => Math.fround((v + 1) / 2));
    const pseudo = {
      labels: uploadLabels(device, shape, labels),
      confidence: device.tensor(shape, 'confidence', { dense: true, data: confidence }),
    };
    const { weights, mean } = await compute(device, (rec) => confidentShare(rec, pseudo, 3, 0.75));
    const expected = Array.from({ length: shape[0] }, (_, b) => {
      const valid = Array.from({ length: voxels }, (_, v) => b * voxels + v).filter((i) => labels[i] >= 0);
      return Math.fround(valid.filter((i) => confidence[i] >= 0.75).length / valid.length);
    });
    assert.equal([...weights], expected);
    assert.ok(Math.abs(mean[0] - expected.reduce((a, b) => a + b) / shape[0]) < 1e-7);
  }
});

gpuTest('a hand-worked unsupervised loss', async (device) => {
  // Logits 0 and ln 3: probabilities 1/4 and 3/4. Weights 1/2 and 1, one voxel ignored: 3 valid ones.
  const ln3 = Math.log(3);
  const logits = upload(
    device,
    { shape: [2, 1, 1, 2, 2], data: Float64Array.of(0, ln3, 0, ln3, 0, ln3, 0, 0) },
    'logits',
    {
      grad: false,
    },
  );
  const labels = uploadLabels(device, [2, 1, 1, 2], [1, 0, 0, -1]);
  const confidence = device.tensor([2, 1, 1, 2], 'confidence', { dense: true, data: [0.9, 0.5, 0.75, 1] });
  const { loss, mean } = await compute(device, (rec) => {
    const { weights, mean } = confidentShare(rec, { labels, confidence }, 2, 0.75);
    return { loss: unsupervisedLoss(rec, logits, { labels, weights }, false), mean };
  });
  assert.is(mean[0], 0.75);
  const expected = (0.5 * Math.log(4 / 3) + 0.5 * Math.log(4) + Math.log(4)) / 3;
  assert.ok(Math.abs(loss[0] - expected) < 1e-6, `${loss[0]}, expected ${expected}`);
});

gpuTest('a hand-worked one with Dice: weights of single voxels in every sum, none in the count', async (device) => {
  // Probabilities 1/4 and 3/4 in both voxels.
  const ln3 = Math.log(3);
  const data = Float64Array.of(0, ln3, 0, ln3);
  const logits = upload(device, { shape: [1, 1, 1, 2, 2], data }, 'logits', { grad: false });
  const labels = uploadLabels(device, [1, 1, 1, 2], [1, 0]);
  const weights = device.tensor([1, 1, 1, 2], 'weights', { dense: true, data: [1, 0.5] });
  const { loss } = await compute(device, (rec) => ({ loss: unsupervisedLoss(rec, logits, { labels, weights }, true) }));
  const ce = (Math.log(4 / 3) + 0.5 * Math.log(4)) / 2;
  const first = (2 * 0.5 * (1 / 4)) / (1 / 16 + 0.5 * (1 / 16 + 1));
  const second = (2 * (3 / 4)) / (9 / 16 + 1 + 0.5 * (9 / 16));
  const expected = (ce + 1 - (first + second) / 2) / 2;
  assert.ok(Math.abs(loss[0] - expected) < 1e-5, `${loss[0]}, expected ${expected}`);
});

gpuTest('nothing confident or nothing valid: loss and gradient are zero', async (device) => {
  const logits = random([2, 2, 3, 2, 3], 8);
  for (const [label, confident, dice] of [
    [1, 0.5, false],
    [-1, 1, false],
    [1, 0.5, true],
    [-1, 1, true],
  ] as const) {
    const grad = device.tensor(logits.shape, 'dlogits');
    const x = { ...upload(device, logits, 'logits'), grad };
    const labels = uploadLabels(device, [2, 2, 3, 2], new Int32Array(24).fill(label));
    const confidence = device.tensor([2, 2, 3, 2], 'confidence', {
      dense: true,
      data: new Float32Array(24).fill(confident),
    });
    const { loss } = await compute(device, (rec) => {
      const { weights } = confidentShare(rec, { labels, confidence }, 3, 0.97);
      const loss = unsupervisedLoss(rec, x, { labels, weights }, dice);
      rec.backward(loss, { leaves: [x] });
      return { loss };
    });
    // Dice of nothing is eps / eps.
    assert.ok(Math.abs(loss[0]) <= (dice ? 2e-7 : 0), `${loss[0]}`);
    assert.ok((await device.read(grad)).every((v) => v === 0));
  }
});

gpuTest('pseudo-labels are the most probable class and its probability, without a gradient', async (device) => {
  const logits = upload(device, { shape: [1, 1, 1, 2, 3], data: Float64Array.of(0, 2, 1, 5, 1, 5) }, 'logits');
  const image = upload(device, random([1, 1, 1, 2, 1], 1), 'image', { grad: false });
  const found = await compute(device, (rec) => {
    const { labels, confidence } = pseudoLabels(rec, image, logits);
    assert.not(confidence.requiresGrad);
    return { labels, confidence };
  });
  assert.equal([...found.labels], [1, 0]);
  const e = Math.exp;
  const expected = [e(2) / (1 + e(2) + e(1)), e(5) / (2 * e(5) + e(1))];
  assert.ok(expected.every((v, i) => Math.abs(found.confidence[i] - v) < 1e-6));
});

run();
