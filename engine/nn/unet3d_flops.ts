import { product, type Triple } from '../shape.ts';
import type { UnetSettings } from './unet3d_config.ts';

export interface UnetFlops {
  /** One pass over the batch. */
  readonly forward: number;
  /** Of it, the encoder with the bottleneck. */
  readonly encoder: number;
  /** Forward and backward: a convolution costs as much for its input's gradient and for its weight's; the first has no input's. */
  readonly training: number;
}

/**
 * Floating-point operations of the convolutions for a batch of patches [z, y, x], a multiply-add as two. Everything else
 * (norms, activations, pooling) is left out: it takes memory bandwidth rather than arithmetic.
 */
export function unetFlops(s: UnetSettings, batch: number, patch: Triple): UnetFlops {
  const size: number[][] = [[...patch]];
  for (const stride of s.strides) size.push(size[size.length - 1].map((n, a) => n / stride[a]));
  const voxels = size.map((extent) => batch * product(extent));
  const convolution = (level: number, taps: number, cin: number, cout: number) => 2 * voxels[level] * taps * cin * cout;
  const blocks = (level: number, cin: number) => {
    const taps = product(s.kernels[level]);
    const cout = s.channels[level];
    return convolution(level, taps, cin, cout) + (s.blocksPerLevel - 1) * convolution(level, taps, cout, cout);
  };
  let encoder = 0;
  let forward = convolution(0, 1, s.channels[0], s.classes);
  s.channels.forEach((channels, level) => {
    encoder += blocks(level, level === 0 ? s.inChannels : s.channels[level - 1]);
    if (level === s.channels.length - 1) return;
    const below = s.channels[level + 1];
    if (s.up === 'transposed') forward += convolution(level + 1, product(s.strides[level]), below, channels);
    forward += blocks(level, channels + (s.up === 'transposed' ? channels : below));
  });
  const first = convolution(0, product(s.kernels[0]), s.inChannels, s.channels[0]);
  forward += encoder;
  return { forward, encoder, training: 3 * forward - first };
}
