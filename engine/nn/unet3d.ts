import { ActionError, ShapeError } from '../errors.ts';
import { gelu, leakyRelu } from '../ops/activation.ts';
import { convTranspose3d } from '../ops/conv_transpose3d.ts';
import { conv3d, conv3dJoined } from '../ops/conv3d.ts';
import { type DropoutOptions, dropout } from '../ops/dropout.ts';
import { maxPool3d } from '../ops/max_pool3d.ts';
import { batchNorm, type FusedActivation, groupNorm, instanceNorm } from '../ops/norm.ts';
import { resize3d } from '../ops/resize3d.ts';
import type { Recording } from '../recording.ts';
import { formatShape, type Triple } from '../shape.ts';
import { type Tensor, volumeShape } from '../tensor.ts';
import type { ParameterSpec } from './parameter_layout.ts';
import type { Parameters } from './parameters.ts';
import { checkPatch, type UnetConfig, type UnetSettings, unetSettings } from './unet3d_config.ts';
import { unetSpecs } from './unet3d_specs.ts';

export interface UnetOutput {
  /** [N, D, H, W, classes] */
  readonly logits: Tensor;
  /** Output of the deepest encoder level. */
  readonly bottleneck: Tensor;
  /** Bottleneck, then the decoder outputs, coarse to fine; the last has the resolution of the logits. */
  readonly features: readonly Tensor[];
}

export interface UnetMode {
  /** Batch norm by the batch's own statistics, dropout active. Default true. */
  readonly training?: boolean;
  /**
   * Where dropout draws from; needed when training with it. Passes that should drop differently need streams of their
   * own; false drops nothing (a teacher with batch statistics).
   */
  readonly dropout?: DropoutOptions | false;
}

export interface Unet3d {
  readonly settings: UnetSettings;
  readonly specs: readonly ParameterSpec[];
  /** x [N, D, H, W, inChannels] to the output of every encoder level, fine to coarse. Errors: UsageError for a patch that does not divide. */
  encode(rec: Recording, parameters: Parameters, x: Tensor, mode?: UnetMode): Tensor[];
  /** What encode gave to logits. */
  decode(rec: Recording, parameters: Parameters, levels: readonly Tensor[], mode?: UnetMode): UnetOutput;
  forward(rec: Recording, parameters: Parameters, x: Tensor, mode?: UnetMode): UnetOutput;
}

/**
 * 3D U-Net (Cicek et al. 2016) with nnU-Net's conv-norm-activation blocks (Isensee et al. 2021): max pooling down,
 * [up, skip] concatenated, 1 x 1 x 1 head. Errors: UsageError for a configuration that cannot be built.
 */
export function unet3d(config: UnetConfig): Unet3d {
  const settings = unetSettings(config);
  const { channels, kernels, strides } = settings;

  function encode(rec: Recording, parameters: Parameters, x: Tensor, mode: UnetMode = {}): Tensor[] {
    const [, depth, height, width, cin] = volumeShape(x, 'unet3d');
    if (cin !== settings.inChannels) {
      throw new ShapeError(
        `unet3d: '${x.label}' ${formatShape(x.shape)} has ${cin} channels but the network takes ${settings.inChannels}`,
      );
    }
    checkPatch(strides, [depth, height, width]);
    const levels: Tensor[] = [];
    channels.forEach((_, level) => {
      const input = level === 0 ? x : maxPool3d(rec, levels[level - 1], strides[level - 1]);
      levels.push(blocks(rec, parameters, `encoder.${level}`, input, kernels[level], mode));
    });
    if (settings.dropout > 0 && (mode.training ?? true) && mode.dropout !== false)
      levels.push(dropped(rec, levels.pop() as Tensor, mode.dropout));
    return levels;
  }

  function dropped(rec: Recording, x: Tensor, options?: DropoutOptions): Tensor {
    if (options) return dropout(rec, x, settings.dropout, options);
    throw new ActionError(
      `unet3d: training with dropout ${settings.dropout} needs random counters; pass mode.dropout { counters, stream } or set training false`,
    );
  }

  function decode(rec: Recording, parameters: Parameters, levels: readonly Tensor[], mode: UnetMode = {}): UnetOutput {
    const bottleneck = levels[levels.length - 1];
    const features = [bottleneck];
    for (let level = levels.length - 2; level >= 0; level--) {
      const at = `decoder.${level}`;
      const up = upsample(rec, parameters, at, features[features.length - 1], levels[level], strides[level]);
      features.push(blocks(rec, parameters, at, [up, levels[level]], kernels[level], mode));
    }
    const finest = features[features.length - 1];
    const logits = conv3d(rec, finest, parameters.get('head.weight'), parameters.get('head.bias'), {
      store: 'f32',
    });
    return { logits, bottleneck, features };
  }

  function upsample(
    rec: Recording,
    parameters: Parameters,
    at: string,
    x: Tensor,
    skip: Tensor,
    stride: Triple,
  ): Tensor {
    if (settings.up === 'transposed') {
      return convTranspose3d(rec, x, parameters.get(`${at}.up.weight`), parameters.get(`${at}.up.bias`), { stride });
    }
    const [, depth, height, width] = volumeShape(skip, 'unet3d');
    return resize3d(rec, x, [depth, height, width], { alignCorners: false });
  }

  function blocks(
    rec: Recording,
    parameters: Parameters,
    at: string,
    x: Tensor | readonly [Tensor, Tensor],
    kernel: Triple,
    mode: UnetMode,
  ): Tensor {
    const padding: Triple = [kernel[0] >> 1, kernel[1] >> 1, kernel[2] >> 1];
    const moments = settings.norm !== 'none' && (settings.norm !== 'batch' || mode.training !== false);
    let y: Tensor | undefined;
    for (let block = 0; block < settings.blocksPerLevel; block++) {
      const name = `${at}.${block}`;
      const bias = settings.norm === 'none' ? parameters.get(`${name}.conv.bias`) : null;
      const weight = parameters.get(`${name}.conv.weight`);
      const options = { padding, moments, store: settings.storage, products: settings.products };
      const input = y ?? x;
      const sums =
        'storage' in input
          ? conv3d(rec, input, weight, bias, options)
          : conv3dJoined(rec, input, weight, bias, options);
      y = normalised(rec, parameters, name, sums, mode);
    }
    return y as Tensor;
  }

  function normalised(
    rec: Recording,
    parameters: Parameters,
    at: string,
    x: Tensor,
    { training = true }: UnetMode,
  ): Tensor {
    const slope = settings.activation === 'leaky_relu' ? settings.slope : 0;
    if (settings.norm === 'none') return settings.activation === 'gelu' ? gelu(rec, x) : leakyRelu(rec, x, slope);
    const activation: FusedActivation =
      settings.activation === 'gelu' ? { kind: 'gelu' } : { kind: 'leaky_relu', slope };
    const gamma = parameters.get(`${at}.norm.weight`);
    const beta = parameters.get(`${at}.norm.bias`);
    if (settings.norm === 'instance') return instanceNorm(rec, x, gamma, beta, { activation });
    if (settings.norm === 'group') return groupNorm(rec, x, settings.groups, gamma, beta, { activation });
    const running = {
      mean: parameters.get(`${at}.norm.running_mean`),
      variance: parameters.get(`${at}.norm.running_variance`),
    };
    return batchNorm(rec, x, running, gamma, beta, { training, activation });
  }

  return {
    settings,
    specs: unetSpecs(settings),
    encode,
    decode,
    forward: (rec, parameters, x, mode) => decode(rec, parameters, encode(rec, parameters, x, mode), mode),
  };
}
