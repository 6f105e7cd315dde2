/** What ours and the peers are asked to compute. */
import { parameterStream } from '../../../engine/nn/init.ts';
import { checkPatch, unetSettings } from '../../../engine/nn/unet3d_config.ts';
import { unetFlops } from '../../../engine/nn/unet3d_flops.ts';
import { unetSpecs } from '../../../engine/nn/unet3d_specs.ts';
import { product, type Triple } from '../../../engine/shape.ts';
import { noise } from '../samples.ts';
import { type KernelShape, PEER_SHAPES } from '../shapes.ts';
import { type StepShape, syntheticCase } from '../synthetic.ts';
import type { ConvolutionWork, HostArray, NetworkWork, Work } from './protocol.ts';

/** As the hippocampus data set has it: background and two structures. */
const CLASSES = 3;
const RATE = 0.05;
const MOMENTUM = 0.9;

const array = (shape: readonly number[], seed: number): HostArray => ({ shape, data: noise(product(shape), seed) });

/** A convolution of `bench kernels`, forward or with both gradients. */
export function convolutionWork({ name, input, out }: KernelShape, gradients: boolean): ConvolutionWork {
  const cout = out as number;
  const volume = [...input.slice(0, 4), cout];
  return {
    ...{ kind: 'convolution', gradients, name: `conv3d ${name}, ${gradients ? 'forward + gradients' : 'forward'}` },
    ...{ x: array(input, 1), w: array([3, 3, 3, input[4], cout], 2), dy: array(volume, 3) },
    flops: (gradients ? 3 : 1) * 2 * 27 * product(input) * cout,
  };
}

/**
 * A U-Net's prediction of a batch of patches, or a training step on it. Patches are noise with a brighter block of class 1.
 *
 * @throws UsageError for a patch that the network cannot halve
 */
export function networkWork({ patch, batch, channels }: StepShape, training: boolean): NetworkWork {
  const settings = unetSettings({ inChannels: 1, classes: CLASSES, channels });
  checkPatch(settings.strides, patch);
  const voxels = product(patch);
  const x = new Float32Array(batch * voxels);
  const labels = new Uint32Array(batch * voxels);
  for (let n = 0; n < batch; n++) {
    const { image, label } = syntheticCase(patch, n + 1, true);
    x.set(image, n * voxels);
    labels.set(label as ArrayLike<number>, n * voxels);
  }
  const flops = unetFlops(settings, batch, patch);
  return {
    ...{ kind: 'network', training, name: training ? 'U-Net training step' : 'U-Net forward' },
    ...{ channels, classes: CLASSES, slope: settings.slope, x: { shape: [batch, ...patch, 1], data: x }, labels },
    parameters: unetSpecs(settings).map(({ name, shape, init }) => ({
      ...{ name, shape, data: new Float32Array(init(shape, parameterStream(0, name))) },
    })),
    ...{ rate: RATE, momentum: MOMENTUM, flops: training ? flops.training : flops.forward },
  };
}

/** Shapes A and B, a U-Net's forward pass and its training step. */
export function peerWorks(shape: { patch: Triple; batch: number; channels: readonly number[] }): Work[] {
  return [
    ...PEER_SHAPES.flatMap((convolution) => [false, true].map((gradients) => convolutionWork(convolution, gradients))),
    ...[false, true].map((training) => networkWork(shape, training)),
  ];
}
