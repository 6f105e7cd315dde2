import { NumericError } from '../../engine/errors.ts';
import type { Trainer, VolumeWatch } from './trainer.ts';

export interface LoopEvents extends VolumeWatch {
  /** A step's losses have arrived (a few steps after it was submitted). */
  onStep(step: number, losses: Readonly<Record<string, number>>): void;
  /** `step` steps are complete and nothing is in flight: save everything a resume needs. */
  checkpoint(step: number): Promise<void>;
  /** The same moment, when a validation is due. */
  validate(step: number): Promise<void>;
  /** Asked before every step. */
  shouldStop(): boolean;
}

/** Steps are those of the run. */
export interface LoopOptions {
  /** Steps already done, at least `offset`. */
  from: number;
  /** Steps when the trainer's stage begins and when it is over. */
  offset: number;
  steps: number;
  checkpointEvery: number;
  /** 0: at the end only. */
  validateEvery: number;
}

/** Host and device times of a run so far, in milliseconds. */
export interface LoopTimes {
  /** Preparing, uploading and encoding steps. */
  host: number;
  /** Waiting for the device. While this is above zero the device never waited for the host. */
  waiting: number;
  /** Steps they cover. */
  steps: number;
}

/**
 * The training loop: submit a step, keep a few in flight, read their losses as they come, save and validate when due.
 * Returns the number of completed steps, fewer than `steps` when asked to stop. Errors: NumericError at the first loss
 * that is not finite, before anything saved is touched.
 */
export async function trainLoop(
  trainer: Trainer,
  options: LoopOptions,
  events: LoopEvents,
  times: LoopTimes,
): Promise<number> {
  const { from, offset, steps, checkpointEvery, validateEvery } = options;
  const inFlight: { step: number; losses: Promise<Record<string, number>> }[] = [];

  const settle = async (most: number) => {
    while (inFlight.length > most) {
      const { step, losses } = inFlight.shift()!;
      const start = performance.now();
      const values = await losses; // the one place where the host waits for the device
      times.waiting += performance.now() - start;
      times.steps++;
      assertFinite(step, values);
      events.onStep(step, values);
    }
  };

  let step = from;
  while (step < steps && !events.shouldStop()) {
    if (trainer.ready && !(await trainer.ready(step - offset, events))) break;
    const start = performance.now();
    const losses = trainer.step(step - offset);
    losses.catch(() => undefined); // reported by settle()
    times.host += performance.now() - start;
    inFlight.push({ step, losses });
    step++;
    await settle(trainer.depth - 1);
    const validationDue = step === steps || (validateEvery > 0 && step % validateEvery === 0);
    if (validationDue || step % checkpointEvery === 0) {
      await settle(0);
      if (validationDue) await events.validate(step);
      await events.checkpoint(step);
    }
  }
  await settle(0);
  if (step < steps) await events.checkpoint(step);
  return step;
}

function assertFinite(step: number, losses: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(losses)) {
    if (Number.isFinite(value)) continue;
    throw new NumericError(
      `'${name}' became ${value} at step ${step + 1}; the last checkpoint is kept: lower the learning rate (optimiser.rate, action.stage2.rate, …) or check the images for extreme values`,
    );
  }
}
