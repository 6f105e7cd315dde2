import { concat } from './concat.ts';
import { convTranspose3d } from './conv_transpose3d.ts';
import { conv3d } from './conv3d.ts';
import type { Dense, Triple } from './dense.ts';
import { gelu } from './gelu.ts';
import { leakyRelu } from './leaky_relu.ts';
import { maxPool3d } from './max_pool3d.ts';
import { groupNorm, instanceNorm } from './norm.ts';
import { resize3d } from './resize3d.ts';

/** Level 0 is full resolution; `pools[l]` is the step from level l to l + 1. */
export type Unet3dOptions = {
  kernels: Triple[];
  pools: Triple[];
  norm: 'instance' | 'group';
  groups?: number;
  activation: 'leaky_relu' | 'gelu';
  upsampling: 'transposed' | 'trilinear';
};

/**
 * Two (convolution without bias, norm, activation) a level; max pooling; up-sampling by a transposed convolution with
 * bias or a trilinear resize (align corners false) to the skip's size; concat [up, skip]; 1x1x1 head with bias.
 * `weights(name)` is a parameter by name (`encoder.0.1.conv.weight`, `decoder.0.up.bias`, `head.weight` ...).
 */
export function unet3d(weights: (name: string) => Dense, images: Dense, options: Unet3dOptions) {
  const { kernels, pools } = options;
  const block = (name: string, input: Dense, level: number) => {
    let x = input;
    for (const i of [0, 1]) {
      const padding = kernels[level].map((k) => Math.floor(k / 2)) as unknown as Triple;
      x = conv3d(x, weights(`${name}.${i}.conv.weight`), null, { stride: [1, 1, 1], padding });
      const [gamma, beta] = [weights(`${name}.${i}.norm.weight`), weights(`${name}.${i}.norm.bias`)];
      x = options.norm === 'instance' ? instanceNorm(x, gamma, beta).y : groupNorm(x, gamma, beta, options.groups!).y;
      x = options.activation === 'gelu' ? gelu(x) : leakyRelu(x, 0.01);
    }
    return x;
  };
  const up = (name: string, x: Dense, level: number, skip: Dense) => {
    if (options.upsampling === 'trilinear') return resize3d(x, [skip.shape[1], skip.shape[2], skip.shape[3]], false);
    const doubled = { stride: pools[level], padding: [0, 0, 0] as Triple };
    return convTranspose3d(x, weights(`${name}.up.weight`), weights(`${name}.up.bias`), doubled);
  };

  const skips: Dense[] = [];
  let x = images;
  for (let level = 0; level < kernels.length; level++) {
    if (level > 0) x = maxPool3d(x, pools[level - 1]);
    x = block(`encoder.${level}`, x, level);
    skips.push(x);
  }
  const bottleneck = x;
  for (let level = kernels.length - 2; level >= 0; level--) {
    const name = `decoder.${level}`;
    x = block(name, concat([up(name, x, level, skips[level]), skips[level]]), level);
  }
  const pointwise = { stride: [1, 1, 1] as Triple, padding: [0, 0, 0] as Triple };
  return { logits: conv3d(x, weights('head.weight'), weights('head.bias'), pointwise), bottleneck };
}
