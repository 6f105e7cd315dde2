/** The U-Net built from the reference loops against PyTorch's (fixtures/torch/unet.py), and the formula of its batches. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { assertClose } from './compare.ts';
import { readFixture } from './fixtures/torch/fixture.ts';
import { waveBatch } from './fixtures/torch/waves.ts';
import { crossEntropy } from './reference/cross_entropy.ts';
import { dense } from './reference/dense.ts';
import { softDice } from './reference/soft_dice.ts';
import { unet3d } from './reference/unet3d.ts';

test('both sides make the same batches', () => {
  const { tensors } = readFixture('unet_transposed');
  const { images, labels } = waveBatch(0, [16, 16, 16]);
  assertClose('images', images, tensors.get('input')!, { absolute: 1e-7, relative: 0 });
  assert.equal([...labels], [...tensors.get('labels')!.data]);
  assert.equal([...new Set(labels)].sort(), [0, 1, 2]);
});

for (const name of ['unet_transposed', 'unet_trilinear'])
  test(`${name}: logits, bottleneck and loss`, () => {
    const { tensors, metadata } = readFixture(name);
    const network = JSON.parse(metadata.network);
    const { images, labels } = waveBatch(0, network.size);
    const input = dense([2, ...network.size, 1], images);
    const { logits, bottleneck } = unet3d((parameter) => tensors.get(`initial.${parameter}`)!, input, network);
    assertClose('bottleneck', bottleneck.data, tensors.get('bottleneck')!, { absolute: 1e-6, relative: 2 });
    assertClose('logits', logits.data, tensors.get('logits')!, { absolute: 1e-6, relative: 2 });
    const loss = (crossEntropy(logits, labels) + softDice(logits, labels)) / 2;
    assertClose('loss', [loss], tensors.get('loss')!);
  });

test.run();
