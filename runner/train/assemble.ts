import type { Device } from '../../engine/device.ts';
import type { Parameters } from '../../engine/nn/parameters.ts';
import type { StatePart } from '../../engine/nn/state.ts';
import type { Unet3d } from '../../engine/nn/unet3d.ts';
import { Program } from '../../engine/program.ts';
import { ReadbackRing } from '../../engine/readback.ts';
import { Recording } from '../../engine/recording.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { describeNonFinite, watch } from '../../engine/watch.ts';
import type { Trainer } from './trainer.ts';

/** Something on the device that is fed before each step. */
export interface StepInput {
  /** GPU bytes of it that hold whole volumes, which no step changes. Default 0. */
  readonly volumeBytes?: number;
  upload(step: number): void;
  destroy(): void;
}

/** What a method brings, for a trainer to be made of. */
export interface TrainerParts {
  readonly label: string;
  readonly network: Unet3d;
  readonly student: Parameters;
  readonly state: readonly StatePart[];
  readonly flops: number;
  /** Steps of earlier stages: random draws go on from there. */
  readonly offset: number;
  /** Of weights and what belongs to them, held already. */
  readonly parameterBytes: number;
  /** Fed with the step of the run, before the step is submitted. */
  readonly inputs: readonly StepInput[];
  /** As Trainer has it; step of the stage. */
  readonly ready?: Trainer['ready'];
  /** Rates, ramps and cursors: fed with the step of the stage. */
  setStep(step: number): void;
  /** Appends a whole step; what it returns, [1] each, is reported. */
  record(rec: Recording): Readonly<Record<string, Tensor>>;
  /** Steps that prepare something, learn nothing and report nothing. */
  readonly silent?: { due(step: number): boolean; record(rec: Recording): void };
  /** Freed with the trainer, in this order. */
  readonly owned: readonly { destroy(): void }[];
}

/** Steps in flight at once: the host prepares one while the device works on another. */
const DEPTH = 2;

/** Records and compiles the step. `before`: bytes that the device held before the method allocated any. */
export async function assembleTrainer(device: Device, before: number, parts: TrainerParts): Promise<Trainer> {
  const volumes = parts.inputs.reduce((sum, input) => sum + (input.volumeBytes ?? 0), 0);
  const inputs = device.bytesHeld - before - parts.parameterBytes - volumes;
  const silent = parts.silent && (await programOf(device, `${parts.label}, silent`, parts.silent.record)).program;
  const { program, recording, results } = await programOf(device, parts.label, parts.record);
  const beforeRing = device.bytesHeld;
  const ring = new ReadbackRing(program, results);
  const prepare = (step: number) => {
    for (const input of parts.inputs) input.upload(parts.offset + step);
    parts.setStep(step);
  };
  return {
    ...{ network: parts.network, student: parts.student, state: parts.state, flops: parts.flops },
    ...{ commands: recording.commands.length, depth: DEPTH },
    memory: {
      ...{ parameters: parts.parameterBytes, volumes, inputs, readback: device.bytesHeld - beforeRing },
      step: program.plan.totalBytes + (silent?.plan.totalBytes ?? 0),
      total: device.bytesHeld - before,
    },
    ready: parts.ready,
    async step(step) {
      prepare(step);
      if (!silent || !parts.silent?.due(step)) return ring.run();
      silent.run();
      return {};
    },
    replay: () => ring.run(),
    encode() {
      program.encoded();
    },
    async firstNonFinite(from, to) {
      const watched = watch(recording);
      const replay = await Program.create(watched.recording);
      /** Steps that overflow made the loss scale skip so far; such a step is no fault. */
      const skipped = async () => (results.skipped ? (await replay.read(results.skipped))[0] : 0);
      try {
        let before = await skipped();
        for (let step = from; step < to; step++) {
          await parts.ready?.(step);
          prepare(step);
          if (silent && parts.silent?.due(step)) silent.run();
          else replay.run();
          const found = await watched.firstNonFinite(replay);
          if (!found) continue;
          const faulty = await anyNonFinite(replay, results);
          const now = await skipped();
          if (faulty || now === before) return { step, found: describeNonFinite(found) };
          before = now;
        }
        return undefined;
      } finally {
        replay.destroy();
      }
    },
    destroy() {
      ring.destroy();
      program.destroy();
      silent?.destroy();
      for (const input of parts.inputs) input.destroy();
      for (const part of parts.owned) part.destroy();
    },
  };
}

async function anyNonFinite(program: Program, results: Readonly<Record<string, Tensor>>): Promise<boolean> {
  for (const t of Object.values(results)) if (!Number.isFinite((await program.read(t))[0])) return true;
  return false;
}

async function programOf(
  device: Device,
  label: string,
  // biome-ignore lint/suspicious/noConfusingVoidType: a step may report nothing
  record: (rec: Recording) => Readonly<Record<string, Tensor>> | void,
) {
  const rec = new Recording(device, label);
  const results = record(rec) ?? {};
  for (const t of Object.values(results)) rec.keep(t);
  return { program: await Program.create(rec), recording: rec, results };
}
