import * as v from 'valibot';
import { UsageError } from '../../engine/errors.ts';

/**
 * Every option of a training run, with its default beside it. A run's `config.json` is this object written out; `--set
 * a.b=value` changes one entry; unknown keys are errors. Triples are [z, y, x].
 */

const count = v.pipe(v.number(), v.integer(), v.minValue(1));
const natural = v.pipe(v.number(), v.integer(), v.minValue(0));
const positive = v.pipe(v.number(), v.gtValue(0));
const fraction = v.pipe(v.number(), v.minValue(0), v.maxValue(1));
const nonNegative = v.pipe(v.number(), v.minValue(0));
const triple = v.tuple([count, count, count]);

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

const Augmentation = v.strictObject({
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
  /** Strength of contrast, brightness, gamma and noise; 0 for none. */
  intensity: v.optional(nonNegative, 1),
  /** Share of patches centred on a labelled voxel, the classes in turn. */
  foreground: v.optional(fraction, 0),
});

const Optimiser = v.strictObject({
  name: v.optional(v.picklist(['sgd', 'adamw']), 'sgd'),
  rate: v.optional(positive, 0.3),
  momentum: v.optional(fraction, 0.9),
  nesterov: v.optional(v.boolean(), false),
  weightDecay: v.optional(nonNegative, 1e-4),
  /** Exponent of the polynomial decay of the rate. */
  power: v.optional(nonNegative, 0.9),
  /** Steps of linear warm-up. */
  warmUp: v.optional(natural, 20),
  /** Global gradient norm above which gradients are scaled down; 0 for never. */
  clip: v.optional(nonNegative, 5),
});

const Config = v.strictObject({
  method: v.optional(v.picklist(['supervised']), 'supervised'),
  seed: v.optional(natural, 0),
  steps: v.optional(count, 600),
  /** Patches a step. */
  batch: v.optional(count, 2),
  patch: v.optional(triple, [32, 48, 32]),
  /** Labelled cases set aside to choose the best weights: a number, or 'auto' (a fifth of them from five on). */
  validation: v.optional(v.union([v.literal('auto'), natural]), 'auto'),
  /** Steps between validations; 0 for only at the end. */
  validateEvery: v.optional(natural, 0),
  /** Steps between checkpoints. */
  checkpointEvery: v.optional(count, 100),
  network: v.optional(Network, {}),
  preprocessing: v.optional(Preprocessing, {}),
  augmentation: v.optional(Augmentation, {}),
  optimiser: v.optional(Optimiser, {}),
});

export type TrainConfig = v.InferOutput<typeof Config>;
export type TrainConfigInput = v.InferInput<typeof Config>;

/** Fills in defaults. Errors: UsageError naming every wrong or unknown key at once. */
export function trainConfig(input: unknown, where = 'the configuration'): TrainConfig {
  const result = v.safeParse(Config, input);
  if (result.success) return result.output;
  const problems = result.issues.map((issue) => {
    const path = v.getDotPath(issue) ?? '(top level)';
    if (issue.expected === 'never') return `'${path}' is not an option`;
    if (issue.type === 'min_length') return `'${path}' has ${issue.received} entries, expected ${issue.expected}`;
    return `'${path}' is ${issue.received}, expected ${issue.expected ?? issue.message}`;
  });
  throw new UsageError(`${where} cannot be used: ${problems.join('; ')}; the config.json of a run shows every option`);
}

/** Applies `a.b=value` settings (value as JSON, else as a string) to a copy. */
export function applySettings(config: unknown, settings: readonly string[]): unknown {
  const changed = structuredClone(config) as Record<string, unknown>;
  for (const setting of settings) {
    const equals = setting.indexOf('=');
    if (equals < 1)
      throw new UsageError(`--set '${setting}' is not of the form name=value, for instance optimiser.rate=0.1`);
    const path = setting.slice(0, equals).split('.');
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
export async function configHash(config: unknown): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(canonical(config)));
  return Array.from(new Uint8Array(digest).subarray(0, 8), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (!isRecord(value)) return JSON.stringify(value);
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, inner]) => `${JSON.stringify(key)}:${canonical(inner)}`).join(',')}}`;
}
