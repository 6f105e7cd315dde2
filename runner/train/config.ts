import * as v from 'valibot';
import { baselineDefaults, meanTeacherDefaults, uaMtDefaults } from '../../engine/baselines/options.ts';
import { uaMtStreams } from '../../engine/baselines/ua_mt.ts';
import { UsageError } from '../../engine/errors.ts';
import { STREAM_BLOCK } from '../data/augment_streams.ts';
import {
  ABLATION_NAMES,
  ABLATIONS,
  type Ablation,
  ACTION_RATES,
  type ActionConfig,
  ActionSection,
  actionDefaults,
  checkAction,
  type DeepPartial,
  PRESET_NAMES,
  type PresetName,
} from './config_action.ts';
import { count, fraction, natural, nonNegative, positive, triple } from './config_fields.ts';

/**
 * Every option of a training run, with its default beside it. A run's `config.json` is this object written out; `--set
 * a.b=value` changes one entry; unknown keys are errors. Triples are [z, y, x]. Schedule and
 * baselines have the engine's defaults (engine/baselines/options.ts).
 */

const Network = v.strictObject({
  /** Feature channels of each level, the bottleneck last. */
  channels: v.optional(v.pipe(v.array(count), v.minLength(1)), [8, 16, 32, 64]),
  /** Convolution kernel of each level; null for 3 x 3 x 3 everywhere. */
  kernels: v.optional(v.nullable(v.array(triple)), null),
  /** Pooling from each level to the next; null for 2 x 2 x 2 everywhere. */
  strides: v.optional(v.nullable(v.array(triple)), null),
  blocksPerLevel: v.optional(count, 2),
  norm: v.optional(v.picklist(['instance', 'group', 'batch', 'none']), 'instance'),
  groups: v.optional(count, 8),
  activation: v.optional(v.picklist(['leaky_relu', 'relu', 'gelu']), 'leaky_relu'),
  slope: v.optional(nonNegative, 0.01),
  /** The head's biases start at the logarithms of the classes' shares of labelled voxels; false for zeros. */
  classPrior: v.optional(v.boolean(), true),
  up: v.optional(v.picklist(['transposed', 'trilinear']), 'transposed'),
  dropout: v.optional(fraction, 0),
});

const Preprocessing = v.strictObject({
  /** Target spacing in millimetres; null keeps every volume's own. */
  spacing: v.optional(v.nullable(v.tuple([positive, positive, positive])), null),
  /** 'z-score': by each volume's mean and standard deviation; 'ct': Hounsfield window first. */
  normalisation: v.optional(v.picklist(['z-score', 'ct']), 'z-score'),
  /** Values are clipped to this many standard deviations. */
  clip: v.optional(positive, 4),
  /** Hounsfield units kept by 'ct'. */
  window: v.optional(v.tuple([v.number(), v.number()]), [-200, 250]),
});

const Elastic = v.strictObject({
  probability: v.optional(fraction, 0.3),
  /** Voxels between control points. */
  spacing: v.optional(triple, [12, 12, 12]),
  /** Standard deviation of a control point, in voxels. */
  amplitude: v.optional(nonNegative, 2),
});

const spatial = {
  /** Share of patches that are rotated and scaled. */
  probability: v.optional(fraction, 0.8),
  /** Degrees about z, y, x, either way. */
  rotation: v.optional(v.tuple([nonNegative, nonNegative, nonNegative]), [12, 12, 12]),
  /** Isotropic scale 1 +- this. */
  scale: v.optional(v.pipe(v.number(), v.minValue(0), v.maxValue(0.9)), 0.15),
  /** Mirror along z, y, x. Off by default: left and right often have different labels. */
  flip: v.optional(v.tuple([v.boolean(), v.boolean(), v.boolean()]), [false, false, false]),
  /** Elastic deformation; null for none. */
  elastic: v.optional(v.nullable(Elastic), null),
};

const Augmentation = v.strictObject({
  ...spatial,
  /** Geometry of unlabelled patches where it is to differ from that of labelled ones; what is left out has the defaults above. */
  unlabelled: v.optional(v.strictObject(spatial)),
  /** Strength of contrast, brightness, gamma and noise; 0 for none. */
  intensity: v.optional(nonNegative, 1),
  /** Strength of intensity changes in the weak view of unlabelled patches, the teacher's; 0.5 for Mean Teacher and UA-MT. */
  weak: v.optional(nonNegative, 0),
  /** The same in the strong view, the student's; above 1 with blur. */
  strong: v.optional(nonNegative, 1.5),
  /** Share of patches centred on a labelled voxel, the classes in turn. */
  foreground: v.optional(fraction, 0),
});

const Optimiser = v.strictObject({
  name: v.optional(v.picklist(['sgd', 'adamw']), baselineDefaults.optimiser),
  rate: v.optional(positive, baselineDefaults.rate),
  momentum: v.optional(fraction, baselineDefaults.momentum),
  nesterov: v.optional(v.boolean(), baselineDefaults.nesterov),
  weightDecay: v.optional(nonNegative, baselineDefaults.weightDecay),
  /** Exponent of the polynomial decay of the rate. */
  power: v.optional(nonNegative, baselineDefaults.power),
  /** Steps of linear warm-up. */
  warmUp: v.optional(natural, baselineDefaults.warmUp),
  /** Global gradient norm above which gradients are scaled down; 0 for never. */
  clip: v.optional(nonNegative, baselineDefaults.clip),
});

/** How numbers are stored and multiplied; sums are float32. */
export const PRECISIONS = ['fp32', 'mixed', 'matrix'] as const;
export type Precision = (typeof PRECISIONS)[number];

/** What every method has. */
const common = {
  seed: v.optional(natural, 0),
  /** Training steps of the whole run. */
  steps: v.optional(count, baselineDefaults.steps),
  /** Labelled patches a step, and as many unlabelled ones. */
  batch: v.optional(count, 2),
  patch: v.optional(triple, [32, 48, 32]),
  /**
   * 'mixed' stores feature maps and their gradients as bfloat16: half the memory, float32 arithmetic and weights. 'matrix' has
   * convolutions multiply float16 factors on the adapter's matrix units beside that, and scales the loss (engine/nn/loss_scale.ts).
   */
  precision: v.optional(v.picklist(PRECISIONS), 'fp32'),
  /** Labelled cases set aside to choose the best weights: a number, or 'auto' (a fifth of them from five on). */
  validation: v.optional(v.union([v.literal('auto'), natural]), 'auto'),
  /** Steps between validations; 0 for only at the end. */
  validateEvery: v.optional(natural, 0),
  /** Steps between checkpoints. */
  checkpointEvery: v.optional(count, 100),
  /** Checksum of the weights that the run started from; null for none. */
  from: v.optional(v.nullable(v.string()), null),
  network: v.optional(Network, {}),
  preprocessing: v.optional(Preprocessing, {}),
  augmentation: v.optional(Augmentation, {}),
};

export const METHODS = ['supervised', 'mean-teacher', 'ua-mt', 'cps', 'action'] as const;

/** The weight of the unsupervised term, and the share of the steps over which it rises. */
const unsupervised = {
  weight: v.optional(nonNegative, baselineDefaults.weight),
  ramp: v.optional(fraction, baselineDefaults.ramp),
};

const meanTeacher = {
  ...unsupervised,
  /** Highest decay of the teacher's moving average. */
  m: v.optional(fraction, meanTeacherDefaults.m),
};

const UaMt = v.strictObject({
  ...meanTeacher,
  /** Noisy passes of the teacher that the uncertainty is estimated from; checkPasses has the most. */
  passes: v.optional(count, uaMtDefaults.passes),
  /** Standard deviation and largest magnitude of their noise. */
  noise: v.optional(nonNegative, uaMtDefaults.noise),
  noiseLimit: v.optional(nonNegative, uaMtDefaults.noiseLimit),
  /** Entropy below which a voxel counts, as a share of the largest possible; it rises to all of it over the run. */
  threshold: v.optional(fraction, uaMtDefaults.threshold),
});

/** What every method but ACTION has, whose stages have schedules of their own. */
const optimised = { ...common, optimiser: v.optional(Optimiser, {}) };

const Config = v.variant('method', [
  v.strictObject({ method: v.literal('supervised'), ...optimised }),
  v.strictObject({
    ...{ method: v.literal('mean-teacher'), ...optimised },
    meanTeacher: v.optional(v.strictObject(meanTeacher), {}),
  }),
  v.strictObject({ method: v.literal('ua-mt'), ...optimised, uaMt: v.optional(UaMt, {}) }),
  v.strictObject({
    ...{ method: v.literal('cps'), ...optimised },
    cps: v.optional(v.strictObject(unsupervised), {}),
  }),
  v.strictObject({ method: v.literal('action'), ...common, action: ActionSection }),
]);

export type TrainConfig = v.InferOutput<typeof Config>;
export type Method = TrainConfig['method'];
/** The configuration of one method. */
export type ConfigOf<M extends Method> = Extract<TrainConfig, { method: M }>;

/** Whether whole unlabelled volumes get pseudo-labels. */
export const labelsVolumes = (config: TrainConfig): boolean =>
  config.method === 'action' && config.action.stage2.pseudo === 'volume' && config.action.stages.includes('2');

/** What can be written: everything has a default. `preset` and `without` are spelt out as the options they stand for. */
export interface TrainConfigInput extends Partial<Omit<v.InferInput<(typeof Config.options)[0]>, 'method'>> {
  readonly method?: Method;
  readonly preset?: PresetName;
  readonly without?: readonly Ablation[];
  readonly action?: DeepPartial<ActionConfig>;
  readonly meanTeacher?: v.InferInput<ReturnType<typeof v.strictObject<typeof meanTeacher>>>;
  readonly uaMt?: v.InferInput<typeof UaMt>;
  readonly cps?: v.InferInput<ReturnType<typeof v.strictObject<typeof unsupervised>>>;
}

/** Where a method's usual value is not the general one. */
const METHOD_DEFAULTS: Partial<Record<Method, unknown>> = {
  'mean-teacher': { augmentation: { weak: 0.5 } },
  'ua-mt': { augmentation: { weak: 0.5 } },
};

/** What stands for other options, and what those depend on. */
const Shorthands = v.looseObject({
  method: v.optional(v.picklist(METHODS), 'supervised'),
  preset: v.optional(v.picklist(PRESET_NAMES), 'small'),
  without: v.optional(v.array(v.picklist(ABLATION_NAMES)), []),
  steps: v.optional(count),
  batch: v.optional(count),
  action: v.optional(v.looseObject({})),
});

/**
 * Fills in defaults; `method` is 'supervised' where none is named. Errors: UsageError naming every wrong or unknown key at
 * once, or what the method could not run with.
 */
export function trainConfig(input: unknown, where = 'the configuration'): TrainConfig {
  const { preset, without, ...written } = parsed(Shorthands, input, where);
  const given = mergeConfig(METHOD_DEFAULTS[written.method], written) as typeof written;
  if (given.method !== 'action') {
    const stray = ['preset', 'without', 'action'].find((key) => isRecord(input) && key in input);
    if (!stray) return checkPasses(parsed(Config, given, where), where);
    throw new UsageError(
      `${where} cannot be used: '${stray}' is an option of method action, but the method is ${given.method}; add --method action`,
    );
  }
  const action = without.reduce<unknown>(
    (rest, name) => mergeConfig(rest, ABLATIONS[name]),
    given.action ?? {},
  ) as DeepPartial<ActionConfig>;
  const defaults = actionDefaults(preset, action, given);
  const config = parsed(Config, { ...given, action: mergeConfig(defaults, action) }, where) as ConfigOf<'action'>;
  return { ...config, ...checkAction(config.action, given) };
}

/** Dropout comes behind the noise of the student's view in a block of streams, the noise of UA-MT's passes has a block of its own. */
function checkPasses(config: TrainConfig, where: string): TrainConfig {
  if (config.method !== 'ua-mt') return config;
  const { noise, dropout } = uaMtStreams({ passes: 0 });
  const most = STREAM_BLOCK - Math.max(noise, 1 + dropout);
  const { passes } = config.uaMt;
  if (passes <= most) return config;
  throw new UsageError(
    `${where} cannot be used: 'uaMt.passes' is ${passes}, but random numbers are set aside for ${most} passes; give ${most} or fewer`,
  );
}

function parsed<S extends v.GenericSchema>(schema: S, input: unknown, where: string): v.InferOutput<S> {
  const result = v.safeParse(schema, input);
  if (result.success) return result.output;
  const problems = result.issues.map((issue) => {
    const path = v.getDotPath(issue) ?? '(top level)';
    if (issue.expected === 'never') return strayOption(path, input);
    if (issue.type === 'min_length') return `'${path}' has ${issue.received} entries, expected ${issue.expected}`;
    return `'${path}' is ${issue.received}, expected ${issue.expected ?? issue.message}`;
  });
  throw new UsageError(`${where} cannot be used: ${problems.join('; ')}; the config.json of a run shows every option`);
}

/** A key that is not an option, or one of other methods than the input's. */
function strayOption(path: string, input: unknown): string {
  const owners = Config.options.filter(({ entries }) => path in entries).map(({ entries }) => entries.method.literal);
  if (owners.length === 0) return `'${path}' is not an option`;
  const { method } = input as TrainConfig;
  const rates = path === 'optimiser' ? `, whose rates are ${ACTION_RATES.join(', ')}` : '';
  return `'${path}' is an option of method${owners.length > 1 ? 's' : ''} ${owners.join(', ')}, but the method is ${method}${rates}`;
}

/** Applies `a.b=value` settings (value as JSON, else as a string) to a copy. */
export function applySettings(config: unknown, settings: readonly string[]): unknown {
  const changed = structuredClone(config) as Record<string, unknown>;
  for (const setting of settings) {
    const equals = setting.indexOf('=');
    if (equals < 1)
      throw new UsageError(`--set '${setting}' is not of the form name=value, for instance network.norm=group`);
    const path = setting.slice(0, equals).split('.');
    const trap = path.find((key) => key in Object.prototype);
    if (trap) throw new UsageError(`--set '${setting}': '${trap}' is not an option`);
    let at = changed;
    for (const key of path.slice(0, -1)) {
      const inner = at[key];
      at[key] = typeof inner === 'object' && inner !== null ? inner : {};
      at = at[key] as Record<string, unknown>;
    }
    at[path[path.length - 1]] = parseValue(setting.slice(equals + 1));
  }
  return changed;
}

/** `b` over `a`, objects merged key by key. */
export function mergeConfig(a: unknown, b: unknown): unknown {
  if (!isRecord(a) || !isRecord(b)) return b === undefined ? a : b;
  const merged: Record<string, unknown> = { ...a };
  for (const [key, value] of Object.entries(b)) merged[key] = mergeConfig(a[key], value);
  return merged;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parseValue(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** SHA-256 of the canonical JSON text, 16 hexadecimal digits: equal configurations have equal hashes. */
export function configHash(config: unknown): Promise<string> {
  return bytesHash(new TextEncoder().encode(canonical(config)));
}

/** SHA-256, 16 hexadecimal digits. */
export async function bytesHash(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', bytes);
  return Array.from(new Uint8Array(digest).subarray(0, 8), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (!isRecord(value)) return JSON.stringify(value);
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, inner]) => `${JSON.stringify(key)}:${canonical(inner)}`).join(',')}}`;
}
