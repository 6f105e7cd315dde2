/** What a training step of the published U-Net costs on a GPU, counted on a device that computes nothing: no machine plays a part. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Device } from '../../engine/device.ts';
import { dryGpu } from '../../engine/dry_gpu.ts';
import type { MatrixUnit } from '../../engine/matrix_unit.ts';
import { createOptimiser, OPTIMISER_SCALARS } from '../../engine/nn/create_optimiser.ts';
import { createLearning, learn } from '../../engine/nn/learn.ts';
import { Parameters } from '../../engine/nn/parameters.ts';
import { unet3d } from '../../engine/nn/unet3d.ts';
import { unetFlops } from '../../engine/nn/unet3d_flops.ts';
import { diceCrossEntropy } from '../../engine/ops/soft_dice.ts';
import { Recording } from '../../engine/recording.ts';
import { product } from '../../engine/shape.ts';
import { StepScalars } from '../../engine/step_scalars.ts';
import { storedBytes } from '../../engine/tensor.ts';

/** Limits of an NVIDIA GPU under Vulkan. */
const LIMITS = {
  ...{ maxBufferSize: 2 ** 32, maxStorageBufferBindingSize: 2 ** 31 - 4, maxUniformBufferBindingSize: 65536 },
  ...{ minUniformBufferOffsetAlignment: 64, maxComputeWorkgroupsPerDimension: 65535 },
  ...{ maxComputeInvocationsPerWorkgroup: 1024, maxComputeWorkgroupStorageSize: 49152 },
  maxStorageBuffersPerShaderStage: 16,
} as unknown as GPUSupportedLimits;

/** 16-32-64-128-256 channels, two patches of 112 x 112 x 80, SGD with clipping; on matrix units where there is one. */
function step(storage: 'f32' | 'bf16', { matrixUnit, vendor }: { matrixUnit?: MatrixUnit; vendor?: string } = {}) {
  const device = new Device(dryGpu(LIMITS), { software: false, matrixUnit, vendor });
  const products = matrixUnit ? 'f16' : 'f32';
  const network = unet3d({ inChannels: 1, classes: 2, channels: [16, 32, 64, 128, 256], storage, products });
  const parameters = Parameters.create(device, network.specs, { seed: 1, initialise: false });
  const options = { name: 'sgd', rate: 0.3, momentum: 0.9, nesterov: false, weightDecay: 1e-4 } as const;
  const scalars = StepScalars.create(device, OPTIMISER_SCALARS);
  const optimiser = createOptimiser(parameters, scalars, options);
  const image = device.tensor([2, 80, 112, 112, 1], 'image');
  const labels = device.tensor([2, 80, 112, 112], 'labels', { dtype: 'u32', dense: true });
  const rec = new Recording(device, 'step');
  const { loss } = diceCrossEntropy(rec, network.forward(rec, parameters, image).logits, labels);
  learn(rec, loss, createLearning(device, network.settings, [{ name: 'network', parameters, optimiser }]), 5);
  const traffic = rec.commands.reduce((sum, command) => {
    if (command.kind === 'copy') return sum + 2 * storedBytes(command.from);
    if (command.kind === 'clear') return sum + storedBytes(command.tensor);
    return sum + Object.values(command.tensors).reduce((bytes, t) => bytes + storedBytes(t), 0);
  }, 0);
  const each = rec.commands.flatMap((c) => {
    if (c.kind !== 'dispatch') return [];
    const bytes = Object.values(c.tensors).reduce((sum, t) => sum + storedBytes(t), 0);
    return [{ name: c.kernel.name, bytes: bytes / (product(c.groups) * product(c.kernel.workgroup)) }];
  });
  const names = rec.commands.map((c) => (c.kind === 'dispatch' ? c.kernel.name : c.kind));
  const kernels = new Set(rec.commands.flatMap((c) => (c.kind === 'dispatch' ? [c.kernel] : [])));
  const planned = rec.plan().totalBytes;
  const values = network.specs.reduce((sum, { shape }) => sum + product(shape), 0);
  const held = device.bytesHeld + planned;
  const flops = unetFlops(network.settings, 2, [80, 112, 112]).training;
  return { names, each, traffic, planned, held, flops, parameters: values, pipelines: kernels.size };
}

const full = step('f32');

test('in float32: commands, pipelines, bytes moved, bytes planned and operations', () => {
  assert.ok(full.names.length <= 202, `${full.names.length} commands`);
  assert.ok(full.pipelines <= 46, `${full.pipelines} pipelines`);
  assert.ok(full.traffic <= 11.8e9, `${full.traffic} bytes moved`);
  assert.ok(full.planned <= 1.25e9, `${full.planned} bytes planned`);
  assert.is(full.flops, 683_902_894_080);
});

const counted = (prefix: string) => full.names.filter((name) => name.startsWith(prefix)).length;

test('skip connections are never joined, their gradients added in place, chunks of a norm merged in one dispatch', () => {
  assert.not.ok(full.names.some((name) => /copy_channels|^add|norm_merge|norm_grad_merge|norm_grad_affine/.test(name)));
  for (const pass of ['norm_finish', 'norm_grad_partial', 'norm_grad_finish', 'norm_grad_apply'])
    assert.is(counted(pass), 18, pass);
});

/** The two lowest levels have too few voxels for boxes; their sums are split, and added up together with the statistics. */
test('no norm takes a pass over what a convolution has written', () => {
  assert.not.ok(full.names.some((name) => /^norm_partial(_tree)?$/.test(name)));
  assert.is(counted('norm_partial_summed'), 6);
});

/** A dispatch whose invocations read much one after the other waits for memory, however few bytes it reads in all. */
test('but for convolutions, an invocation has at most 1.1 KiB of what it reads and writes', () => {
  const shares = full.each.filter(({ name }) => !name.startsWith('conv'));
  assert.ok(shares.length > 100, `${shares.length} dispatches`);
  for (const { name, bytes } of shares) assert.ok(bytes <= 1.1 * 1024, `${name}: ${bytes} bytes`);
});

/** Of four up-convolutions and the head (9 dispatches: the smallest needs one) and of the loss (2). */
test('column sums take at most two dispatches, and biases their gradients straight', () => {
  assert.is(counted('column_'), 11);
  assert.is(counted('copy'), 0);
});

/** Transposed while boxes are copied or as they are loaded. */
test('every input gradient reads the weights as they lie', () => {
  assert.is(counted('pack_weights'), 0);
});

/** Of 27 gradients, as many at a time as have a 16th of the step's tensors in partial sums, at most 128 MiB; those of split sums (10) are not of gradients of weights. */
test('weight gradients are summed several at a time', () => {
  assert.is(counted('sum_partials_tree'), 3);
  assert.is(counted('sum_partials'), 3 + 10);
});

/** Inputs of the up-convolutions and of the head (5), and what the direct kernel reads in the two lowest levels (4). */
test('the other half of the activated feature maps is never written', () => {
  assert.is(counted('norm_apply'), 9);
});

/**
 * What PyTorch 1.13 allocates at its peak for the same step on a CPU: 1139 bytes a voxel (profiler, profile_memory=True, at 32 x 32 x
 * 32 and 64 x 48 x 48), with parameters, gradients and momentum. On CUDA cuDNN's workspaces come on top.
 */
const PYTORCH = { bytesAVoxel: 1139, perParameter: 12 };

test('at most 60 % of what PyTorch takes for the same step', () => {
  const theirs = PYTORCH.bytesAVoxel * 2 * 112 * 112 * 80 + PYTORCH.perParameter * full.parameters;
  assert.ok(full.held <= 0.6 * theirs, `${full.held} of ${theirs} bytes`);
});

test('mixed precision moves and plans little more than half of that, in as many commands', () => {
  const mixed = step('bf16');
  assert.is(mixed.names.length, full.names.length);
  assert.ok(mixed.traffic < 0.6 * full.traffic, `${mixed.traffic} of ${full.traffic} bytes moved`);
  assert.ok(mixed.planned < 0.6 * full.planned, `${mixed.planned} of ${full.planned} bytes planned`);
});

/** What elsewhere is in boxes: 12 convolutions of the three uppermost levels, and 13 input gradients, two where inputs are joined. */
test('NVIDIA computes the large convolutions with F(4, 3), in as many commands', () => {
  const nvidia = step('f32', { vendor: 'nvidia' });
  assert.is(nvidia.names.filter((name) => name === 'conv3d_tiled_333_winograd').length, 25);
  assert.is(nvidia.names.length, full.names.length);
  assert.ok(nvidia.pipelines <= 50, `${nvidia.pipelines} pipelines`);
});

test('on matrix units fewer commands do it, all weights rounded in one of them', () => {
  const matrix = step('bf16', { matrixUnit: { m: 16, n: 16, k: 16, subgroup: 32 } });
  assert.ok(matrix.names.length <= 188, `${matrix.names.length} commands`);
  assert.is(matrix.names.indexOf('pack_weights_matrix'), 0);
  assert.is(matrix.names.lastIndexOf('pack_weights_matrix'), 0);
  assert.is(matrix.names.filter((name) => name.startsWith('conv3d_matrix')).length, 38);
});

test.run();
