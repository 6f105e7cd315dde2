import type { Parameters } from '../../engine/nn/parameters.ts';
import type { StatePart } from '../../engine/nn/state.ts';
import type { Unet3d } from '../../engine/nn/unet3d.ts';

/** GPU bytes of a training run, known before it starts. */
export interface TrainerMemory {
  /** Weights, gradients, optimiser state, teacher. */
  readonly parameters: number;
  /** Whole volumes that patches are cut from. */
  readonly volumes: number;
  /** Boxes of other volumes, their labels and random numbers, waiting to be used. */
  readonly inputs: number;
  /** Activations and scratch of one step, shared by lifetime. */
  readonly step: number;
  /** Where losses wait to be read. */
  readonly readback: number;
  /** The sum, equal to what the device holds while training; a validation needs its windows on top. */
  readonly total: number;
}

/** Who waits while volumes are predicted. */
export interface VolumeWatch {
  /** So many unlabelled volumes have pseudo-labels anew. */
  onVolume(done: number, of: number): void;
  /** Asked before every volume. */
  shouldStop(): boolean;
}

/** A training method on the device, ready to step; what the loop, checkpoints and validation see of any method. */
export interface Trainer {
  readonly network: Unet3d;
  /** The network that predicts. */
  readonly student: Parameters;
  readonly memory: TrainerMemory;
  /** Dispatches and copies of one replayed step. */
  readonly commands: number;
  /** Floating-point operations of a step's convolutions. */
  readonly flops: number;
  /** Steps that may be in flight at once. */
  readonly depth: number;
  /**
   * Predicts the unlabelled volumes where a step needs that anew; to be awaited before every step, absent where none does.
   *
   * @returns false where it was asked to stop before all were predicted
   */
  ready?(step: number, watch?: VolumeWatch): Promise<boolean>;
  /** Uploads the inputs of a step, submits it, and resolves to its losses when the device has them. */
  step(step: number): Promise<Record<string, number>>;
  /** Submits a step with the inputs of the one before, for benches: what the device takes when no data has to be made ready. */
  replay(): Promise<Record<string, number>>;
  /** Encodes a step and submits it nowhere: what replaying one costs the host, for benches. */
  encode(): void;
  /**
   * Runs steps `from` to `to` of the stage again, every command watched, from the state as it is: the first step in which a
   * tensor became NaN or infinite, and which. Errors: FitError where there is no room for a second copy of the step.
   */
  firstNonFinite(from: number, to: number): Promise<{ step: number; found: string } | undefined>;
  /** All that an exact resume needs beside the step. */
  readonly state: readonly StatePart[];
  destroy(): void;
}
