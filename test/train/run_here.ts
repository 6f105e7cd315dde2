/** Runs in this process: a data set, a run folder in memory, events that stop the run. */
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { Device } from '../../engine/device.ts';
import { synth } from '../../runner/commands/synth.ts';
import { parseDataset } from '../../runner/data/dataset.ts';
import { makeSplit } from '../../runner/data/splits.ts';
import { directorySource } from '../../runner/host/files.ts';
import { type TrainConfigInput, trainConfig } from '../../runner/train/config.ts';
import type { RunStore } from '../../runner/train/run_store.ts';
import type { TrainingEvents, TrainingInput } from '../../runner/train/run_training.ts';

/** Five phantoms in `folder`/data, three of them labelled. */
export async function phantoms(folder: string): Promise<string> {
  const data = join(folder, 'data');
  await synth(data, { cases: 5, labelled: 3, test: 1, size: 16, classes: 3, quiet: true });
  return data;
}

/** A run folder in memory. */
export function memoryStore(): RunStore & { files: Map<string, Uint8Array> } {
  const files = new Map<string, Uint8Array>();
  return {
    name: 'memory',
    files,
    read: async (path) => files.get(path),
    write: async (path, content) => {
      files.set(path, typeof content === 'string' ? new TextEncoder().encode(content) : content);
    },
    append: async () => assert.unreachable('the training itself writes no log'),
  };
}

export async function inputFor(
  device: Device,
  data: string,
  config: TrainConfigInput,
  store: RunStore,
): Promise<TrainingInput> {
  const source = directorySource(data);
  const dataset = await parseDataset(source);
  const complete = trainConfig(config);
  const split = await makeSplit(dataset, { validation: complete.validation as number });
  return { device, dataset, source, split, config: complete, store };
}

export interface Seen {
  stages: string[];
  /** Those whose volumes the GPU had no room for. */
  withoutVolumes: string[];
  steps: number[];
  losses: Record<string, number>[];
}

/** Events that stop after `most` steps. */
export function watching(most = Infinity): TrainingEvents & Seen {
  const seen: Seen = { stages: [], withoutVolumes: [], steps: [], losses: [] };
  return {
    ...seen,
    onCase: () => undefined,
    onVolume: () => undefined,
    onNoRoomForVolumes: ({ name }) => seen.withoutVolumes.push(name),
    onStage: ({ stage, from }) => seen.stages.push(`${stage.name} from ${from}`),
    onStep: (step, losses) => {
      seen.steps.push(step);
      seen.losses.push(losses);
    },
    onValidation: () => undefined,
    onCheckpoint: () => undefined,
    onReplay: () => undefined,
    shouldStop: () => seen.steps.length >= most,
  };
}
