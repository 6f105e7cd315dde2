import type { Device } from '../../engine/device.ts';
import { GpuMemoryError, NumericError } from '../../engine/errors.ts';
import { loadState, type State, saveState } from '../../engine/nn/state.ts';
import {
  assertSameData,
  assertSameRun,
  type Checkpoint,
  decodeCheckpoint,
  encodeCheckpoint,
  studentOf,
} from './checkpoint.ts';
import { configHash, type TrainConfig } from './config.ts';
import { type LoopTimes, trainLoop } from './loop.ts';
import { stagesOf } from './methods.ts';
import { type CaseSource, type PreparedCases, prepareCases } from './prepare_cases.ts';
import { writeModel, writeModelCard } from './run_model.ts';
import { RUN_FILES, type RunStore, stageFile } from './run_store.ts';
import { assertPrecision, type Stage, VOLUME_BYTES } from './stage.ts';
import { takeOver } from './take_over.ts';
import type { Trainer, VolumeWatch } from './trainer.ts';
import { validationDice } from './validate.ts';

export interface TrainingInput extends CaseSource {
  readonly device: Device;
  readonly store: RunStore;
  /** Weights to start from, by group; `config.from` is their checksum. */
  readonly from?: State;
  /** GPU bytes for whole volumes (StageInput). Default 1 GiB; results are the same. */
  readonly volumeBytes?: number;
}

/** A stage that is about to run. Steps are those of the run. */
export interface StageStart {
  readonly stage: Stage;
  readonly trainer: Trainer;
  /** Steps of the run when the stage begins. */
  readonly offset: number;
  /** Steps done already, at least `offset`. */
  readonly from: number;
  /** Validation cases. */
  readonly validation: number;
}

/** Steps are those of the run. */
export interface TrainingEvents extends VolumeWatch {
  /** So many cases are read and prepared. */
  onCase(ready: number, of: number): void;
  /** The GPU had no room for volumes beside the stage; their patches will be cut out by the host. */
  onNoRoomForVolumes(stage: Stage): void;
  /** Once a stage, before its first step. */
  onStage(start: StageStart): void;
  onStep(step: number, losses: Readonly<Record<string, number>>, times: Readonly<LoopTimes>): void;
  /** Mean foreground Dice over the validation cases. */
  onValidation(step: number, dice: number, best: boolean): void;
  onCheckpoint(step: number): void;
  /** A loss was not finite; steps from `from` to `to` are run once more to find out why. */
  onReplay(from: number, to: number): void;
  shouldStop(): boolean;
}

export interface TrainingResult {
  /** Steps completed; fewer than config.steps when stopped early. */
  readonly step: number;
  readonly best: Checkpoint['best'];
  readonly finished: boolean;
}

/**
 * A whole training run: reads and prepares the cases, resumes from the store's checkpoint when there is one, runs stage after
 * stage, validates, saves, and writes the model; a run that was finished before ends at once. Equal input gives equal bytes,
 * however often it was interrupted. Errors: UsageError for a precision that the device lacks.
 */
export async function runTraining(input: TrainingInput, events: TrainingEvents): Promise<TrainingResult> {
  const { config, device, split, store } = input;
  assertPrecision(device, config.precision);
  const hash = await runHash(config, split.hash);
  const stages = stagesOf(config);
  const saved = await readCheckpoint(store, hash);
  if (saved && saved.step >= config.steps) {
    await writeModel(input, studentOf(saved.groups), saved.step, saved.best);
    return { step: saved.step, best: saved.best, finished: true };
  }
  const cases = await prepareCases(input, events.onCase);
  const data = cases.hash;
  if (saved) assertSameData(saved, data, `${store.name}/${RUN_FILES.latest}`);
  else await writeModelCard(input, 0);

  const run = new Run(input, cases, { hash, data }, events, saved?.best ?? null);
  let { step, state } = saved ? { step: saved.step, state: saved.groups } : { step: 0, state: input.from };
  let offset = 0;
  for (const [i, stage] of stages.entries()) {
    const end = offset + stage.steps;
    const inside = saved?.stage === stage.name && step < end;
    if (step < end) {
      const last = i === stages.length - 1;
      const stopped = await run.stage(stage, { offset, from: step, state, inside, last });
      ({ step, state } = stopped);
      if (step < end) return { step, best: run.best, finished: false };
    }
    offset = end;
  }
  await writeModel(input, studentOf(state as State), step, run.best);
  return { step, best: run.best, finished: true };
}

/** Where in the run a stage is taken up. */
interface StageEntry {
  /** Steps of the stages before it. */
  readonly offset: number;
  /** The first step of the run that is still to do. */
  readonly from: number;
  /** What earlier stages or the stage itself have left, if anything. */
  readonly state: State | undefined;
  /** `state` is the stage's own. */
  readonly inside: boolean;
}

/** What the stages of a run share. */
class Run {
  best: Checkpoint['best'];
  private readonly input: TrainingInput;
  private readonly cases: PreparedCases;
  private readonly identity: Pick<Checkpoint, 'hash' | 'data'>;
  private readonly events: TrainingEvents;
  /** The last state that was saved or taken over, with which the steps since can be run once more. */
  private saved: { step: number; groups: State } = { step: 0, groups: new Map() };
  private readonly times: LoopTimes = { host: 0, waiting: 0, steps: 0 };

  constructor(
    input: TrainingInput,
    cases: PreparedCases,
    identity: Pick<Checkpoint, 'hash' | 'data'>,
    events: TrainingEvents,
    best: Checkpoint['best'],
  ) {
    this.input = input;
    this.cases = cases;
    this.identity = identity;
    this.events = events;
    this.best = best;
  }

  /** Runs a stage from step `from` of the run, in the middle of it (`inside`) or from its beginning. */
  async stage(stage: Stage, at: StageEntry & { last: boolean }): Promise<{ step: number; state: State }> {
    const { offset, from } = at;
    const { validation } = this.cases;
    const trainer = await this.enter(stage, at);
    try {
      this.events.onStage({ stage, trainer, offset, from, validation: validation.length });
      const end = offset + stage.steps;
      let begun = from;
      const step = await trainLoop(
        trainer,
        { ...this.input.config, offset, from, steps: end },
        {
          onStep: (at, losses) => {
            begun = at + 1;
            this.events.onStep(at, losses, this.times);
          },
          onVolume: (done, of) => this.events.onVolume(done, of),
          shouldStop: () => this.events.shouldStop(),
          validate: (at) => this.validate(stage, trainer, at),
          checkpoint: async (step) => {
            await this.save(RUN_FILES.latest, stage, trainer, step);
            if (step === end && !at.last) await this.save(stageFile(stage.name), stage, trainer, step);
            this.events.onCheckpoint(step);
          },
        },
        this.times,
      ).catch((failure) => this.explain(failure, trainer, offset, Math.min(begun + 1, end)));
      return { step, state: this.saved.groups }; // the loop ends with a checkpoint
    } finally {
      trainer.destroy();
    }
  }

  /** A trainer in the state that the stage begins with, which is saved; with volumes on the GPU, unless it has no room for them beside it. */
  private async enter(stage: Stage, { offset, from, state, inside }: StageEntry): Promise<Trainer> {
    const { device, dataset, volumeBytes: most = VOLUME_BYTES } = this.input;
    const { labelled, unlabelled } = this.cases;
    const common = { device, labelled, unlabelled, classes: dataset.labels.length, offset, initialise: true };
    const create = async (volumeBytes: number) => {
      const trainer = await stage.create({ ...common, volumeBytes });
      try {
        if (inside) loadState(trainer.state, state as State);
        else if (state) takeOver(trainer, stage, state);
        this.saved = { step: from, groups: await saveState(trainer.state) };
        return trainer;
      } catch (failure) {
        trainer.destroy();
        throw failure;
      }
    };
    if (most > 0) {
      const trainer = await device.createIfRoom(() => create(most));
      if (trainer) return trainer;
      this.events.onNoRoomForVolumes(stage);
    }
    return create(0);
  }

  /**
   * Throws always: for a NaN after replaying what led to it from the last saved state, with the first tensor that went wrong;
   * where the GPU is full with what volumes have of it.
   */
  private async explain(failure: unknown, trainer: Trainer, offset: number, to: number): Promise<never> {
    const { volumes } = trainer.memory;
    if (failure instanceof GpuMemoryError && volumes > 0) {
      const way = `${volumes} bytes of it hold volumes, which --vram leaves out where there is less`;
      throw new GpuMemoryError(`${failure.message}; ${way}`, { cause: failure });
    }
    if (!(failure instanceof NumericError)) throw failure;
    const { step, groups } = this.saved;
    this.events.onReplay(step, to);
    loadState(trainer.state, groups);
    const first = await trainer.firstNonFinite(step - offset, to - offset).catch(() => undefined);
    if (!first) throw failure;
    throw new NumericError(`step ${offset + first.step + 1}: ${first.found}. ${failure.message}`, { cause: failure });
  }

  private async validate(stage: Stage, trainer: Trainer, step: number): Promise<void> {
    const { validation } = this.cases;
    if (validation.length === 0 || !stage.predicts) return;
    const dice = await validationDice(this.input.device, trainer, validation, this.input.config);
    const improved = !this.best || dice > this.best.dice;
    if (improved) {
      this.best = { dice, step };
      await this.save(RUN_FILES.best, stage, trainer, step);
    }
    this.events.onValidation(step, dice, improved);
  }

  private async save(path: string, stage: Stage, trainer: Trainer, step: number): Promise<void> {
    if (this.saved.step !== step) this.saved = { step, groups: await finiteState(trainer, step) };
    const { groups } = this.saved;
    const checkpoint = { ...this.identity, stage: stage.name, step, best: this.best, groups };
    await this.input.store.write(path, encodeCheckpoint(checkpoint));
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
async function runHash(config: TrainConfig, split: string): Promise<string> {
  const { checkpointEvery: _, ...matters } = config;
  return configHash({ config: matters, split });
}

/** The state for a checkpoint. Errors: NumericError for one that holds a NaN or an infinity. */
async function finiteState(trainer: Trainer, step: number): Promise<State> {
  const groups = await saveState(trainer.state);
  for (const [group, values] of groups) {
    for (const [name, { data }] of values) {
      const at = data.findIndex((value) => !Number.isFinite(value));
      if (at < 0) continue;
      throw new NumericError(
        `${group}/${name} holds ${data[at]} after step ${step}; the last checkpoint is kept: lower the learning rate (optimiser.rate, action.stage2.rate, …) and start again`,
      );
    }
  }
  return groups;
}
