import type { Device } from '../../engine/device.ts';
import { DataError, NumericError } from '../../engine/errors.ts';
import type { ParameterValues } from '../../engine/nn/parameters.ts';
import { loadState, saveState } from '../../engine/nn/state.ts';
import type { Case, Dataset, FileSource } from '../data/dataset.ts';
import { loadCase } from '../data/load_case.ts';
import { type Prepared, preprocess } from '../data/preprocess.ts';
import type { Split } from '../data/splits.ts';
import { overlaps } from '../predict/metrics.ts';
import { encodeWeights, type ModelCard } from '../predict/model.ts';
import { slidingWindow } from '../predict/sliding_window.ts';
import { assertSameRun, type Checkpoint, decodeCheckpoint, encodeCheckpoint } from './checkpoint.ts';
import { configHash, type TrainConfig } from './config.ts';
import { type LoopTimes, trainLoop } from './loop.ts';
import { RUN_FILES, type RunStore } from './run_store.ts';
import { createSupervised } from './supervised.ts';
import type { Trainer } from './trainer.ts';

export interface TrainingInput {
  readonly device: Device;
  readonly dataset: Dataset;
  readonly source: FileSource;
  readonly split: Split;
  readonly config: TrainConfig;
  readonly store: RunStore;
}

export interface TrainingEvents {
  /** Once, before the first step. */
  onReady(ready: { trainer: Trainer; from: number; voxels: number; validation: number }): void;
  onStep(step: number, losses: Readonly<Record<string, number>>, times: Readonly<LoopTimes>): void;
  /** Mean foreground Dice over the validation cases. */
  onValidation(step: number, dice: number, best: boolean): void;
  onCheckpoint(step: number): void;
  shouldStop(): boolean;
}

export interface TrainingResult {
  /** Steps completed; fewer than config.steps when stopped early. */
  readonly step: number;
  readonly best: Checkpoint['best'];
  readonly finished: boolean;
}

/**
 * A whole training run: reads and prepares the cases, resumes from the store's checkpoint when there is one, trains,
 * validates, saves, and writes the model; a run that was finished before ends at once. Equal input gives equal bytes, however
 * often it was interrupted.
 */
export async function runTraining(input: TrainingInput, events: TrainingEvents): Promise<TrainingResult> {
  const { device, config, split, store } = input;
  const hash = await runHash(config, split);
  const saved = await readCheckpoint(store, hash);
  if (saved && saved.step >= config.steps) {
    await writeModel(input, saved.groups.get('student')!, saved.step, saved.best);
    return { step: saved.step, best: saved.best, finished: true };
  }
  const labelled = await prepareCases(input, split.labelled);
  const validation = await prepareCases(input, split.validation);
  assertForeground(labelled, input.dataset);
  const trainer = await createSupervised(device, config, labelled, input.dataset.labels.length);
  try {
    const { step: from, groups } = saved ?? { step: 0 };
    let best: Checkpoint['best'] = saved?.best ?? null;
    if (groups) loadState(trainer.state, groups);
    else await store.write(RUN_FILES.modelCard, `${JSON.stringify(modelCard(input, 0), null, 2)}\n`);
    const voxels = labelled.reduce((sum, item) => sum + item.image.length, 0);
    events.onReady({ trainer, from, voxels, validation: validation.length });

    const save = async (path: string, step: number) => {
      const groups = await saveState(trainer.state);
      assertFinite(groups, step);
      await store.write(path, encodeCheckpoint({ step, hash, best, groups }));
    };
    const times: LoopTimes = { host: 0, waiting: 0, steps: 0 };
    const step = await trainLoop(
      trainer,
      { ...config, from },
      {
        onStep: (at, losses) => events.onStep(at, losses, times),
        shouldStop: () => events.shouldStop(),
        async validate(at) {
          if (validation.length === 0) return;
          const dice = await validate(device, trainer, validation, config);
          const improved = !best || dice > best.dice;
          if (improved) {
            best = { dice, step: at };
            await save(RUN_FILES.best, at);
          }
          events.onValidation(at, dice, improved);
        },
        async checkpoint(at) {
          await save(RUN_FILES.latest, at);
          events.onCheckpoint(at);
        },
      },
      times,
    );
    const finished = step === config.steps;
    if (finished) await writeModel(input, await trainer.student.read(), step, best);
    return { step, best, finished };
  } finally {
    trainer.destroy();
  }
}

/** The checkpoint to continue from, if there is one. Errors: DataError for a damaged one, UsageError for another run's. */
async function readCheckpoint(store: RunStore, hash: string): Promise<Checkpoint | undefined> {
  const bytes = await store.read(RUN_FILES.latest);
  if (!bytes) return undefined;
  const name = `${store.name}/${RUN_FILES.latest}`;
  const checkpoint = decodeCheckpoint(bytes, name);
  assertSameRun(checkpoint, hash, name);
  return checkpoint;
}

/** Identifies what a checkpoint may continue: the configuration but for how often things are saved, and the split. */
async function runHash(config: TrainConfig, split: Split): Promise<string> {
  const { checkpointEvery: _, ...matters } = config;
  return configHash({ config: matters, split: split.hash });
}

async function prepareCases({ dataset, source, config }: TrainingInput, cases: readonly Case[]): Promise<Prepared[]> {
  const prepared: Prepared[] = [];
  for (const item of cases) {
    const { id, image, label } = await loadCase(dataset, item, source);
    prepared.push(preprocess(image, label ?? null, config.preprocessing, id));
  }
  return prepared;
}

/** Mean over cases and foreground classes; a class absent from both prediction and label counts as 1. */
async function validate(
  device: Device,
  trainer: Trainer,
  cases: readonly Prepared[],
  config: TrainConfig,
): Promise<number> {
  const classes = Array.from({ length: trainer.network.settings.classes - 1 }, (_, i) => i + 1);
  let sum = 0;
  for (const item of cases) {
    const { labels } = await slidingWindow(
      device,
      trainer.network,
      trainer.student,
      { ...item, data: item.image },
      config.patch,
    );
    const scores = overlaps(labels, item.label!, item.shape, classes);
    sum += scores.reduce((total, score) => total + score.Dice, 0) / scores.length;
  }
  return sum / cases.length;
}

/** The weights that predict: the best on the validation cases where there are any, else the last. */
async function writeModel(
  input: TrainingInput,
  last: ParameterValues,
  step: number,
  best: Checkpoint['best'],
): Promise<void> {
  const { store } = input;
  let weights = last;
  const bytes = best && best.step !== step ? await store.read(RUN_FILES.best) : undefined;
  if (bytes) weights = decodeCheckpoint(bytes, `${store.name}/${RUN_FILES.best}`).groups.get('student') ?? weights;
  await store.write(
    RUN_FILES.weights,
    encodeWeights(weights, { format: 'action3d-weights-1', step: String(best?.step ?? step) }),
  );
  await store.write(RUN_FILES.modelCard, `${JSON.stringify(modelCard(input, best?.step ?? step), null, 2)}\n`);
}

function modelCard({ config, dataset, split }: TrainingInput, steps: number): ModelCard {
  const { kernels, strides, ...network } = config.network;
  return {
    format: 'action3d-model-1',
    network: {
      ...network,
      ...(kernels && { kernels }),
      ...(strides && { strides }),
      inChannels: dataset.channels.length,
      classes: dataset.labels.length,
    },
    patch: config.patch,
    channels: dataset.channels,
    labels: dataset.labels,
    preprocessing: config.preprocessing,
    trained: {
      dataset: dataset.name,
      method: config.method,
      steps,
      labelled: split.labelled.length,
      unlabelled: split.unlabelled.length,
      split: split.hash,
      seed: config.seed,
    },
  };
}

/** A set without any foreground would train to an empty prediction without a word. */
function assertForeground(cases: readonly Prepared[], dataset: Dataset): void {
  const found = new Set<number>();
  for (const { label } of cases) for (const value of label!) found.add(value);
  const absent = dataset.labels.filter((_, c) => c > 0 && !found.has(c));
  if (absent.length === 0) return;
  throw new DataError(
    `no voxel of the ${cases.length} labelled cases is ${absent.map(({ name, value }) => `'${name}' (${value})`).join(' or ')}; label it in a case, choose other cases with --labelled FILE, or take the class out of dataset.json`,
  );
}

function assertFinite(groups: ReadonlyMap<string, ParameterValues>, step: number): void {
  for (const [group, values] of groups) {
    for (const [name, { data }] of values) {
      const at = data.findIndex((value) => !Number.isFinite(value));
      if (at < 0) continue;
      throw new NumericError(
        `${group}/${name} holds ${data[at]} after step ${step}; the last checkpoint is kept: lower optimiser.rate and start again`,
      );
    }
  }
}
