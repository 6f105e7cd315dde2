/** A network whose answer is known: class 1 where the z-score is above 0, class 2 where it is above 1, else class 0. */
import { join } from 'node:path';
import type { ParameterValues } from '../../engine/nn/parameters.ts';
import type { Triple } from '../../engine/shape.ts';
import type { Label } from '../../runner/data/dataset.ts';
import { writeFileAtomic } from '../../runner/host/files.ts';
import { encodeWeights, type ModelCard } from '../../runner/predict/model.ts';

export const LABELS: readonly Label[] = [
  { value: 0, name: 'background' },
  { value: 1, name: 'organ' },
  { value: 2, name: 'lesion' },
];

interface Choice {
  labels?: readonly Label[];
  channels?: readonly string[];
  spacing?: Triple | null;
  patch?: Triple;
}

export function thresholdCard({ labels = LABELS, channels = ['MRI'], spacing = null, patch = [4, 8, 4] }: Choice = {}) {
  const card: ModelCard = {
    format: 'action3d-model-1',
    network: {
      inChannels: channels.length,
      classes: 3,
      channels: [4],
      kernels: [[1, 1, 1]],
      blocksPerLevel: 1,
      norm: 'none',
      activation: 'relu',
    },
    patch,
    channels: channels.map((name) => ({ name })),
    labels,
    preprocessing: { spacing: spacing && [...spacing], normalisation: 'z-score', clip: 4, window: [-200, 250] },
    trained: { dataset: 'none', method: 'by hand', steps: 0, labelled: 0, unlabelled: 0, split: '', seed: 0 },
  };
  return card;
}

/** Features relu(x), relu(-x) of the last channel; logits 10 relu(-x), 10 relu(x), 30 relu(x) - 20. */
export function thresholdWeights(inChannels = 1): ParameterValues {
  const conv = new Float32Array(inChannels * 4);
  conv.set([1, -1, 0, 0], (inChannels - 1) * 4);
  return new Map([
    ['encoder.0.0.conv.weight', { shape: [1, 1, 1, inChannels, 4], data: conv }],
    ['encoder.0.0.conv.bias', { shape: [4], data: new Float32Array(4) }],
    ['head.weight', { shape: [1, 1, 1, 4, 3], data: Float32Array.of(0, 10, 30, 10, 0, 0, 0, 0, 0, 0, 0, 0) }],
    ['head.bias', { shape: [3], data: Float32Array.of(0, 0, -20) }],
  ]);
}

export async function writeModel(folder: string, choice: Choice = {}): Promise<void> {
  const card = thresholdCard(choice);
  await writeFileAtomic(join(folder, 'model.json'), JSON.stringify(card));
  await writeFileAtomic(join(folder, 'model.safetensors'), encodeWeights(thresholdWeights(card.channels.length), {}));
}

/** The class of every value by its z-score over all values; voxels closer to a threshold than float32 tells are -1. */
export function expectedClasses(values: ArrayLike<number>): Int8Array {
  const all = Array.from(values);
  const mean = all.reduce((a, b) => a + b, 0) / all.length;
  const std = Math.sqrt(all.reduce((a, b) => a + (b - mean) ** 2, 0) / all.length);
  return Int8Array.from(all, (value) => {
    const z = (value - mean) / std;
    if (Math.min(Math.abs(z), Math.abs(z - 1)) < 1e-4) return -1;
    return z > 1 ? 2 : z > 0 ? 1 : 0;
  });
}
