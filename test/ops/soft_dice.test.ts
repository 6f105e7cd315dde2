import type { Device } from '../../engine/device.ts';
import { crossEntropy } from '../../engine/ops/cross_entropy.ts';
import { add, scale as scaleOp } from '../../engine/ops/elementwise.ts';
import { diceCrossEntropy, softDice } from '../../engine/ops/soft_dice.ts';
import { compute } from '../../engine/program.ts';
import { assertClose } from '../compare.ts';
import { cases, readFixture } from '../fixtures/torch/fixture.ts';
import { checkOp, gpuTest, run, upload } from '../harness.ts';
import { add as addReference } from '../reference/add.ts';
import { crossEntropyGrad, crossEntropy as crossEntropyReference } from '../reference/cross_entropy.ts';
import { type Dense, random } from '../reference/dense.ts';
import { scale } from '../reference/scale.ts';
import { softDiceGrad, softDice as softDiceReference } from '../reference/soft_dice.ts';
import { randomLabels, uploadLabels } from './labels.ts';

const scalar = (value: number): Dense => ({ shape: [1], data: Float64Array.of(value) });
const tolerance = { absolute: 2e-6 };
const gradientTolerance = { absolute: 1e-9, terms: 64 };

for (const shape of [
  [2, 3, 4, 5, 3],
  [1, 2, 3, 3, 4],
  [2, 1, 7, 5, 2],
  [1, 5, 2, 3, 14],
  [2, 3, 3, 2, 37],
  [2, 9, 31, 33, 2],
]) {
  const classes = shape[shape.length - 1];
  const voxels = shape.slice(0, -1);
  const logits = scale(random(shape, 1), 4);
  const labels = randomLabels(logits.data.length / classes, classes, 2);
  for (const squared of [true, false]) {
    for (const background of [true, false]) {
      // Every variant is a set of kernels to compile; one shape meets all four, the others two.
      if (classes !== 3 && squared !== background) continue;
      const options = { squared, background };
      const name = `[${shape}] ${squared ? 'squared' : 'plain'}${background ? '' : ' without background'}`;
      gpuTest(`soft_dice ${name} equals the reference, both ways`, (device) =>
        checkOp(device, 'soft_dice', {
          inputs: { logits },
          op: (rec, t) => softDice(rec, t.logits, uploadLabels(device, voxels, labels), options),
          expected: scalar(softDiceReference(logits, labels, options)),
          gradients: (dy) => ({ logits: scale(softDiceGrad(logits, labels, options), dy.data[0]) }),
          tolerance,
          gradientTolerance,
        }),
      );
      gpuTest(`dice_cross_entropy ${name} equals the reference, both ways`, (device) =>
        checkOp(device, 'dice_cross_entropy', {
          inputs: { logits },
          op: (rec, t) => diceCrossEntropy(rec, t.logits, uploadLabels(device, voxels, labels), options).loss,
          expected: scalar((crossEntropyReference(logits, labels) + softDiceReference(logits, labels, options)) / 2),
          gradients: (dy) => ({
            logits: scale(
              addReference(crossEntropyGrad(logits, labels), softDiceGrad(logits, labels, options)),
              dy.data[0] / 2,
            ),
          }),
          tolerance,
          gradientTolerance,
        }),
      );
    }
  }
}

for (const [shape, perSample] of [
  [[2, 3, 4, 5, 3], false],
  [[3, 7, 5, 3, 2], true],
  [[1, 3, 3, 5, 37], false],
  [[2, 9, 31, 33, 2], false],
] as const) {
  const classes = shape[4];
  const voxels = shape.slice(0, 4);
  const logits = scale(random(shape, 5), 4);
  const labels = randomLabels(logits.data.length / classes, classes, 6);
  // Zeros too, as the voxels of a patch that the teacher is nowhere sure of.
  const weights = random([perSample ? shape[0] : labels.length], 7).data.map((v) => Math.fround(Math.max(0, v)));
  const factors = (device: Device) => device.tensor([weights.length], 'weights', { dense: true, data: weights });
  const dice = (dy: number) => scale(softDiceGrad(logits, labels, { weights }), dy);
  const name = `[${shape}] with a weight a ${perSample ? 'sample' : 'voxel'}`;
  gpuTest(`soft_dice ${name} equals the reference, both ways`, (device) =>
    checkOp(device, 'soft_dice', {
      inputs: { logits },
      op: (rec, t) => softDice(rec, t.logits, uploadLabels(device, voxels, labels), { weights: factors(device) }),
      expected: scalar(softDiceReference(logits, labels, { weights })),
      gradients: (dy) => ({ logits: dice(dy.data[0]) }),
      tolerance,
      gradientTolerance,
    }),
  );
  gpuTest(`dice_cross_entropy ${name} equals the reference, both ways`, (device) =>
    checkOp(device, 'dice_cross_entropy', {
      inputs: { logits },
      op: (rec, t) =>
        diceCrossEntropy(rec, t.logits, uploadLabels(device, voxels, labels), { weights: factors(device) }).loss,
      expected: scalar(
        (crossEntropyReference(logits, labels, { weights }) + softDiceReference(logits, labels, { weights })) / 2,
      ),
      gradients: (dy) => ({
        logits: addReference(
          scale(crossEntropyGrad(logits, labels, { weights }), dy.data[0] / 2),
          dice(dy.data[0] / 2),
        ),
      }),
      tolerance,
      gradientTolerance,
    }),
  );
}

const logits = scale(random([2, 5, 9, 7, 5], 3), 3);
const labels = randomLabels(630, 5, 4).map((label) => (label < 0 ? 2 : label));
gpuTest('dice_cross_entropy equals the composition of its parts, with an ignored class', async (device) => {
  const labelTensor = uploadLabels(device, [2, 5, 9, 7], labels);
  const options = { ignoreLabel: 2, background: false, epsilon: 1e-3 };
  const seed = upload(device, scalar(-1.25), 'dy', { grad: false });
  const leaf = () => ({ ...upload(device, logits, 'logits'), grad: device.tensor(logits.shape, 'dlogits') });
  const [x, y] = [leaf(), leaf()];
  const fused = await compute(device, (rec) => {
    const parts = diceCrossEntropy(rec, x, labelTensor, options);
    rec.backward(parts.loss, { seed, leaves: [x] });
    return { ...parts, dx: x.grad };
  });
  const composed = await compute(device, (rec) => {
    const [ce, dice] = [crossEntropy(rec, y, labelTensor, options), softDice(rec, y, labelTensor, options)];
    const loss = scaleOp(rec, add(rec, ce, dice), 0.5);
    rec.backward(loss, { seed, leaves: [y] });
    return { loss, ce, dice, dx: y.grad };
  });
  for (const name of ['loss', 'ce', 'dice'] as const) {
    assertClose(name, fused[name], scalar(composed[name][0]), { absolute: 1e-7, terms: 4 });
  }
  const reference = softDiceReference(logits, labels, { ignore: 2, background: false, epsilon: 1e-3 });
  assertClose('dice', fused.dice, scalar(reference), tolerance);
  assertClose('gradient', fused.dx, { shape: logits.shape, data: composed.dx }, { absolute: 1e-9 });
});

gpuTest('no valid voxel: loss and gradient are zero', (device) =>
  checkOp(device, 'dice_cross_entropy', {
    inputs: { logits },
    op: (rec, t) => diceCrossEntropy(rec, t.logits, uploadLabels(device, [630], new Int32Array(630).fill(-1))).loss,
    expected: scalar(0),
    gradients: () => ({ logits: scale(logits, 0) }),
    tolerance: { absolute: 2e-7 },
    gradientTolerance: { absolute: 0 },
  }),
);

gpuTest('weights of zero everywhere: loss and gradient are zero', (device) =>
  checkOp(device, 'dice_cross_entropy', {
    inputs: { logits },
    op: (rec, t) => {
      const weights = device.tensor([2], 'weights', { dense: true, data: [0, 0] });
      return diceCrossEntropy(rec, t.logits, uploadLabels(device, [630], labels), { weights }).loss;
    },
    expected: scalar(0),
    gradients: () => ({ logits: scale(logits, 0) }),
    tolerance: { absolute: 2e-7 },
    gradientTolerance: { absolute: 0 },
  }),
);

for (const fixture of cases(readFixture('ops'), 'soft_dice')) {
  const x = fixture.get('logits');
  const given = fixture.get('labels');
  gpuTest(`${fixture.name} equals PyTorch, both ways`, (device) =>
    checkOp(device, fixture.name, {
      inputs: { x },
      op: (rec, t) => softDice(rec, t.x, uploadLabels(device, given.shape, given.data), fixture.options),
      expected: scalar(fixture.get('y').data[0]),
      gradients: (dy) => ({ x: scale(fixture.get('dlogits'), dy.data[0] / fixture.get('dy').data[0]) }),
    }),
  );
}

run();
