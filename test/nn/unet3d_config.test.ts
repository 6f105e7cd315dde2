import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { checkPatch, patchMultiple, type UnetConfig, unetSettings } from '../../engine/nn/unet3d_config.ts';
import { unetSpecs } from '../../engine/nn/unet3d_specs.ts';
import { readFixture } from '../fixtures/torch/fixture.ts';
import { count } from '../reference/dense.ts';

const reference: UnetConfig = { inChannels: 1, classes: 3, channels: [8, 16, 32, 64] };

test('parameters have the names and shapes of the PyTorch twins', () => {
  for (const name of ['unet_transposed', 'unet_trilinear']) {
    const { tensors, metadata } = readFixture(name);
    const network = JSON.parse(metadata.network);
    const settings = unetSettings({ ...network, inChannels: 1, strides: network.pools, up: network.upsampling });
    const found = unetSpecs(settings).map(({ name, shape }) => `${name} ${shape}`);
    const expected = [...tensors].filter(([key]) => key.startsWith('initial.'));
    assert.equal(found.sort(), expected.map(([key, { shape }]) => `${key.slice(8)} ${shape}`).sort());
  }
});

test('the network of the reference experiments has its 351 thousand parameters', () => {
  // python3 -c "from net import UNet3D; print(sum(p.numel() for p in UNet3D().parameters()))" in the reference folder
  const total = unetSpecs(unetSettings(reference)).reduce((sum, { shape }) => sum + count(shape), 0);
  assert.is(total, 350827);
});

test('norm decides who has a bias and who has running statistics', () => {
  const names = (norm: UnetConfig['norm']) =>
    unetSpecs(unetSettings({ ...reference, norm })).map(({ name }) => name.replace(/^.*?\.0\.0\./, ''));
  assert.equal(names('instance').slice(0, 3), ['conv.weight', 'norm.weight', 'norm.bias']);
  assert.equal(names('none').slice(0, 2), ['conv.weight', 'conv.bias']);
  assert.equal(names('batch').slice(3, 5), ['norm.running_mean', 'norm.running_variance']);
});

test('every fault of a configuration is in the message', () => {
  const message = (config: Partial<UnetConfig>) => {
    try {
      unetSettings({ ...reference, ...config });
    } catch (error) {
      return (error as Error).message;
    }
    return 'accepted';
  };
  assert.is(message({}), 'accepted');
  const faults: [Partial<UnetConfig>, RegExp][] = [
    [{ classes: 1 }, /classes is 1/],
    [{ classes: 2.5 }, /classes is 2\.5/],
    [{ headBias: [0, 1] }, /headBias has 2 values \(0, 1\) for 3 classes/],
    [{ headBias: [0, 1, NaN] }, /headBias has 3 values .*finite/],
    [{ inChannels: 0 }, /inChannels is 0/],
    [{ channels: [] }, /channels \[\] must be/],
    [{ channels: [8, 0] }, /channels \[8, 0\] must be/],
    [{ kernels: [[3, 3, 3]] }, /1 kernels for 4 levels/],
    [{ kernels: [[3, 3, 3], [2, 3, 3], [3, 3, 3], [3, 3, 3]] }, /kernel \[2, 3, 3\] of level 1/], // biome-ignore format: one case a line
    [{ strides: [[2, 2, 2]] }, /1 strides for 4 levels; give one a transition, 3/],
    [{ strides: [[2, 2, 2], [1, 1, 1], [2, 3, 2]] }, /stride \[1, 1, 1\] below level 1.*stride \[2, 3, 2\] below level 2/], // biome-ignore format: one case a line
    [{ blocksPerLevel: 0 }, /blocksPerLevel is 0/],
    [{ norm: 'group', groups: 16 }, /16 groups cannot share 8 channels/],
    [{ slope: -1 }, /slope is -1/],
    [{ dropout: 1 }, /dropout is 1/],
  ];
  for (const [config, expected] of faults) assert.match(message(config), expected);
  assert.match(message({ classes: 1, dropout: 2, inChannels: 0 }), /inChannels.*classes.*dropout/);
});

test('a patch that the strides do not divide is refused axis by axis', () => {
  const strides = [
    [1, 2, 2],
    [2, 2, 2],
    [2, 2, 2],
  ] as const;
  assert.equal(patchMultiple(strides), [4, 8, 8]);
  checkPatch(strides, [12, 48, 32]);
  assert.throws(
    () => checkPatch(strides, [10, 48, 5]),
    /10 voxels along z are no multiple of 4 \(use 8 or 12\); 5 voxels along x are no multiple of 8 \(use 8\)/,
  );
});

test.run();
