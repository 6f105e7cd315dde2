import * as v from 'valibot';
import { DataError } from '../../engine/errors.ts';
import type { ParameterValues } from '../../engine/nn/parameters.ts';
import type { UnetConfig } from '../../engine/nn/unet3d_config.ts';
import type { Triple } from '../../engine/shape.ts';
import type { Label } from '../data/dataset.ts';
import { readSafetensors, type SafeTensor, writeSafetensors } from '../data/safetensors.ts';
import type { TrainConfig } from '../train/config.ts';

/**
 * What it takes to predict: network, labels and preprocessing as data, weights as safetensors. `model.json` and
 * `model.safetensors` of a run folder; the same two files work in Node and in browsers.
 */
export interface ModelCard {
  readonly format: 'action3d-model-1';
  readonly network: UnetConfig;
  /** Voxels of the windows the network was trained on, [z, y, x]. */
  readonly patch: Triple;
  readonly channels: readonly { readonly name: string }[];
  /** Background first; the network's class c means the value and name of entry c. */
  readonly labels: readonly Label[];
  readonly preprocessing: TrainConfig['preprocessing'];
  /** Where it came from, for the record. */
  readonly trained: {
    readonly dataset: string;
    readonly method: string;
    readonly steps: number;
    readonly labelled: number;
    readonly unlabelled: number;
    readonly split: string;
    readonly seed: number;
  };
}

const whole = v.pipe(v.number(), v.integer('a whole number'));
const count = v.pipe(whole, v.minValue(1));
const triple = v.tuple([count, count, count]);
const positive = v.pipe(v.number(), v.gtValue(0));

/** What predicting reads of a card; other keys are left alone. Whether the parts fit together is for `loadModel` to tell. */
const Card = v.looseObject({
  format: v.literal('action3d-model-1'),
  network: v.looseObject({
    inChannels: count,
    classes: count,
    channels: v.array(count),
    kernels: v.optional(v.array(triple)),
    strides: v.optional(v.array(triple)),
    blocksPerLevel: v.optional(count),
    norm: v.optional(v.picklist(['instance', 'group', 'batch', 'none'])),
    groups: v.optional(count),
    activation: v.optional(v.picklist(['leaky_relu', 'relu', 'gelu'])),
    slope: v.optional(v.number()),
    up: v.optional(v.picklist(['transposed', 'trilinear'])),
    dropout: v.optional(v.number()),
    storage: v.optional(v.picklist(['f32', 'bf16'])),
    products: v.optional(v.picklist(['f32', 'f16'])),
  }),
  patch: triple,
  channels: v.array(v.looseObject({ name: v.string() })),
  labels: v.array(v.looseObject({ value: v.pipe(whole, v.minValue(0), v.maxValue(65535)), name: v.string() })),
  preprocessing: v.looseObject({
    spacing: v.nullable(v.tuple([positive, positive, positive])),
    normalisation: v.picklist(['z-score', 'ct']),
    clip: v.nullish(positive),
    window: v.optional(v.tuple([v.number(), v.number()])),
    mean: v.optional(v.number()),
    std: v.optional(positive),
  }),
});

/** Reads `model.json`. Errors: DataError naming every key that is missing or wrong. */
export function parseModelCard(text: string, name: string): ModelCard {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new DataError(`${name} is not JSON (${String(cause)}); copy it again from the run it came from`, { cause });
  }
  const result = v.safeParse(Card, json);
  if (result.success) return json as ModelCard;
  const problems = result.issues.map((issue) => {
    const key = v.getDotPath(issue) ?? 'the whole file';
    if (issue.received === 'undefined') return `'${key}' is missing`;
    return `'${key}' is ${issue.received}, expected ${issue.expected ?? issue.message}`;
  });
  throw new DataError(
    `${name} is not a model of this version: ${problems.join('; ')}; use the model.json of a run folder`,
  );
}

/** Weights as one safetensors file. */
export function encodeWeights(values: ParameterValues, metadata: Record<string, string>): Uint8Array {
  const tensors = new Map<string, SafeTensor>();
  for (const [name, { shape, data }] of values) {
    tensors.set(name, { dtype: 'F32', shape, data: data as Float32Array<ArrayBuffer> });
  }
  return writeSafetensors(tensors, metadata);
}

export function decodeWeights(bytes: Uint8Array, name: string): ParameterValues {
  const values: ParameterValues = new Map();
  for (const [key, { dtype, shape, data }] of readSafetensors(bytes, name).tensors) {
    if (dtype !== 'F32')
      throw new DataError(`${name}: tensor ${key} is ${dtype}, expected F32; export the weights as float32`);
    values.set(key, { shape, data: data as Float32Array });
  }
  return values;
}
