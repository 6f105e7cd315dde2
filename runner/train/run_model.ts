import type { ParameterValues } from '../../engine/nn/parameters.ts';
import type { Dataset } from '../data/dataset.ts';
import type { Split } from '../data/splits.ts';
import { encodeWeights, type ModelCard } from '../predict/model.ts';
import { type Checkpoint, decodeCheckpoint, studentOf } from './checkpoint.ts';
import type { TrainConfig } from './config.ts';
import { usesUnlabelled } from './methods.ts';
import { RUN_FILES, type RunStore } from './run_store.ts';
import { networkConfig } from './stage.ts';

/** What a model is of. */
export interface ModelSource {
  readonly dataset: Dataset;
  readonly split: Split;
  readonly config: TrainConfig;
  readonly store: RunStore;
}

/** Writes the weights that predict, the best on the validation cases where there are any, else the last, and the card. */
export async function writeModel(
  source: ModelSource,
  last: ParameterValues,
  step: number,
  best: Checkpoint['best'],
): Promise<void> {
  const { store } = source;
  const bytes = best && best.step !== step ? await store.read(RUN_FILES.best) : undefined;
  const chosen = bytes && decodeCheckpoint(bytes, `${store.name}/${RUN_FILES.best}`);
  const { weights, steps } = chosen
    ? { weights: studentOf(chosen.groups), steps: chosen.step }
    : { weights: last, steps: step };
  await store.write(RUN_FILES.weights, encodeWeights(weights, { format: 'action3d-weights-1', step: String(steps) }));
  await writeModelCard(source, steps);
}

/** `steps`: how many the weights have seen. */
export async function writeModelCard({ config, dataset, split, store }: ModelSource, steps: number): Promise<void> {
  const card: ModelCard = {
    format: 'action3d-model-1',
    network: networkConfig(config, dataset.channels.length, dataset.labels.length),
    patch: config.patch,
    channels: dataset.channels,
    labels: dataset.labels,
    preprocessing: config.preprocessing,
    trained: {
      dataset: dataset.name,
      method: config.method,
      steps,
      labelled: split.labelled.length,
      unlabelled: usesUnlabelled(config) ? split.unlabelled.length : 0,
      split: split.hash,
      seed: config.seed,
    },
  };
  await store.write(RUN_FILES.modelCard, `${JSON.stringify(card, null, 2)}\n`);
}
