import type { Device } from './device.ts';
import { ActionError, NumericError } from './errors.ts';
import { nearest } from './nearest.ts';
import type { Tensor } from './tensor.ts';

/** What a kernel's op needs of step scalars: any StepScalars that holds at least these names. */
export interface ScalarSlots<Name extends string> {
  readonly tensor: Tensor;
  index(name: Name): number;
}

/**
 * What changes from step to step (learning rate, EMA decay, ramp weights), in one small dense f32 tensor that replayed
 * kernels read by slot. Bind as `array<f32>`.
 */
export class StepScalars<Name extends string = string> implements ScalarSlots<Name> {
  /** [slots], dense f32. */
  readonly tensor: Tensor;
  readonly names: readonly Name[];
  private readonly device: Device;
  private readonly values: Float32Array<ArrayBuffer>;

  private constructor(device: Device, names: readonly Name[]) {
    this.device = device;
    this.names = names;
    this.values = new Float32Array(names.length);
    this.tensor = device.tensor([names.length], 'step scalars', { dense: true });
  }

  /** Slots by name, all zero at first. */
  static create<Name extends string>(device: Device, names: readonly Name[]): StepScalars<Name> {
    return new StepScalars(device, names);
  }

  /** Slot of a name, for a kernel's Params. */
  index(name: Name): number {
    const slot = this.names.indexOf(name);
    if (slot >= 0) return slot;
    throw new ActionError(
      `no step scalar '${name}'; the nearest of the declared ones is '${nearest(name, this.names)}'`,
    );
  }

  get(name: Name): number {
    return this.values[this.index(name)];
  }

  /** Sets some slots and uploads all, before the step is submitted. Errors: NumericError for NaN or infinity. */
  set(values: Partial<Record<Name, number>>): void {
    for (const [name, value] of Object.entries(values) as [Name, number][]) {
      const slot = this.index(name);
      if (!Number.isFinite(value)) throw new NumericError(`step scalar '${name}' would be ${value}`);
      this.values[slot] = value;
    }
    this.device.writeStored(this.tensor, this.values);
  }

  destroy(): void {
    this.device.destroyTensor(this.tensor);
  }
}
