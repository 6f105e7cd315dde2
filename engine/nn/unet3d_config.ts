import { UsageError } from '../errors.ts';
import { formatShape, type Triple } from '../shape.ts';

export type NormKind = 'instance' | 'group' | 'batch' | 'none';
export type ActivationKind = 'leaky_relu' | 'relu' | 'gelu';

/** A 3D U-Net as plain data, level 0 at full resolution; triples are [z, y, x]. What has a default may be left out. */
export interface UnetConfig {
  readonly inChannels: number;
  /** Output channels of the head, background included. */
  readonly classes: number;
  /** Feature channels of each level; the last is the bottleneck. */
  readonly channels: readonly number[];
  /** Convolution kernel of each level, 1 or 3 an axis. Default 3 x 3 x 3 everywhere. */
  readonly kernels?: readonly Triple[];
  /** Pooling from each level to the next, 1 or 2 an axis. Default 2 x 2 x 2 everywhere. */
  readonly strides?: readonly Triple[];
  /** Convolutions of each level, encoder and decoder alike. Default 2. */
  readonly blocksPerLevel?: number;
  /** Default 'instance'. */
  readonly norm?: NormKind;
  /** Groups of norm 'group'. Default 8. */
  readonly groups?: number;
  /** Default 'leaky_relu'. */
  readonly activation?: ActivationKind;
  /** Negative slope of 'leaky_relu'. Default 0.01. */
  readonly slope?: number;
  /** Default 'transposed'; 'trilinear' has no parameters and does not align corners. */
  readonly up?: 'transposed' | 'trilinear';
  /** First values of the head's bias, one a class. Default none: zeros. */
  readonly headBias?: readonly number[];
  /** Probability of dropping a bottleneck value while training. Default 0. */
  readonly dropout?: number;
  /**
   * How feature maps and their gradients are stored; arithmetic, weights, statistics, logits and losses are float32 in any
   * case. 'bf16' halves their memory and traffic at 8 bits of precision; channels must be multiples of 4. Default 'f32'.
   */
  readonly storage?: 'f32' | 'bf16';
  /**
   * 'f16': where the adapter has matrix units, convolutions multiply float16 factors and sum in float32; elsewhere as 'f32',
   * so that a network trained so predicts on any adapter. Default 'f32'.
   */
  readonly products?: 'f32' | 'f16';
}

export type UnetSettings = Required<UnetConfig>;

const AXES = ['z', 'y', 'x'] as const;

/** Fills in the defaults. Errors: UsageError listing everything that is wrong. */
export function unetSettings(config: UnetConfig): UnetSettings {
  const levels = config.channels.length;
  const settings: UnetSettings = {
    kernels: Array.from({ length: levels }, () => [3, 3, 3] as const),
    strides: Array.from({ length: Math.max(0, levels - 1) }, () => [2, 2, 2] as const),
    blocksPerLevel: 2,
    norm: 'instance',
    groups: 8,
    activation: 'leaky_relu',
    slope: 0.01,
    up: 'transposed',
    headBias: [],
    dropout: 0,
    storage: 'f32',
    products: 'f32',
    ...config,
  };
  const problems = problemsOf(settings);
  if (problems.length > 0) throw new UsageError(`this U-Net cannot be built: ${problems.join('; ')}`);
  return settings;
}

function problemsOf(s: UnetSettings): string[] {
  const problems: string[] = [];
  const want = (ok: boolean, problem: string) => {
    if (!ok) problems.push(problem);
  };
  const positive = (n: number) => Number.isInteger(n) && n > 0;
  const oneOf = (triple: Triple, allowed: readonly number[]) =>
    triple.length === 3 && triple.every((n) => allowed.includes(n));
  const levels = s.channels.length;
  want(positive(s.inChannels), `inChannels is ${s.inChannels}, not a positive integer`);
  want(
    positive(s.classes) && s.classes > 1,
    `classes is ${s.classes}, not an integer of 2 or more (background counts)`,
  );
  want(
    s.headBias.length === 0 || (s.headBias.length === s.classes && s.headBias.every(Number.isFinite)),
    `headBias has ${s.headBias.length} values (${s.headBias.join(', ')}) for ${s.classes} classes; give one finite number a class`,
  );
  want(
    levels > 0 && s.channels.every(positive),
    `channels ${formatShape(s.channels)} must be positive integers, one a level`,
  );
  want(s.kernels.length === levels, `${s.kernels.length} kernels for ${levels} levels; give one a level`);
  want(
    s.strides.length === levels - 1,
    `${s.strides.length} strides for ${levels} levels; give one a transition, ${levels - 1}`,
  );
  s.kernels.forEach((kernel, level) => {
    want(oneOf(kernel, [1, 3]), `kernel ${formatShape(kernel)} of level ${level} must be 1 or 3 along z, y and x`);
  });
  s.strides.forEach((stride, level) => {
    const ok = oneOf(stride, [1, 2]) && stride.includes(2);
    want(ok, `stride ${formatShape(stride)} below level ${level} must be 1 or 2 along z, y and x, and 2 somewhere`);
  });
  want(positive(s.blocksPerLevel), `blocksPerLevel is ${s.blocksPerLevel}, not a positive integer`);
  if (s.norm === 'group') {
    const bad = s.channels.filter((n) => n % s.groups !== 0);
    want(
      bad.length === 0,
      `${s.groups} groups cannot share ${bad.join(', ')} channels; use a common divisor of all levels`,
    );
  }
  want(Number.isFinite(s.slope) && s.slope >= 0 && s.slope < 1, `slope is ${s.slope}, not in [0, 1)`);
  const ragged = s.channels.filter((n) => n % 4 !== 0);
  want(
    s.storage === 'f32' || ragged.length === 0,
    `${ragged.join(', ')} channels cannot be stored as bf16 (precision mixed or matrix); use multiples of 4, or f32 (precision fp32)`,
  );
  want(s.dropout >= 0 && s.dropout < 1, `dropout is ${s.dropout}, not in [0, 1)`);
  return problems;
}

/** What a patch's extents must be multiples of: the product of the strides along each axis. */
export function patchMultiple(strides: readonly Triple[]): Triple {
  return strides.reduce<Triple>((m, s) => [m[0] * s[0], m[1] * s[1], m[2] * s[2]], [1, 1, 1]);
}

/** Errors: UsageError naming every axis of `size` [z, y, x] that the strides do not divide, with the nearest extents that work. */
export function checkPatch(strides: readonly Triple[], size: Triple): void {
  const multiple = patchMultiple(strides);
  const problems = AXES.flatMap((axis, a) => {
    if (size[a] % multiple[a] === 0) return [];
    const below = Math.floor(size[a] / multiple[a]) * multiple[a];
    const near = below > 0 ? `${below} or ${below + multiple[a]}` : `${multiple[a]}`;
    return [`${size[a]} voxels along ${axis} are no multiple of ${multiple[a]} (use ${near})`];
  });
  if (problems.length === 0) return;
  throw new UsageError(
    `a patch of ${formatShape(size)} does not fit this U-Net, which halves ${strides.length} times: ${problems.join('; ')}`,
  );
}
