import type { Device } from './device.ts';
import { ActionError, DeviceLostError } from './errors.ts';
import type { Program } from './program.ts';
import { storedBytes, type Tensor } from './tensor.ts';

/**
 * Small results of a replayed program (losses, norms), fetched without stopping the device: each run copies them into the
 * next of a few mappable buffers, and the values arrive when the device gets there.
 */
export class ReadbackRing<Name extends string> {
  private readonly device: Device;
  private readonly program: Program;
  private readonly sources: { name: Name; buffer: GPUBuffer; from: number; bytes: number; at: number }[] = [];
  private readonly free: GPUBuffer[];
  private readonly all: GPUBuffer[];

  /** `tensors` are kept temporaries or persistent ones; their first stored value is what is read. */
  constructor(program: Program, tensors: Readonly<Record<Name, Tensor>>, depth = 3) {
    this.program = program;
    this.device = program.device;
    let at = 0;
    for (const [name, t] of Object.entries(tensors) as [Name, Tensor][]) {
      const bytes = Math.min(16, storedBytes(t));
      this.sources.push({ name, buffer: program.bufferOf(t), from: t.offset, bytes, at });
      at += bytes;
    }
    this.all = Array.from(
      { length: depth },
      (_, i) => this.device.createBuffer(Math.max(16, at), `${program.label}.ring${i}`, 0x01 | 0x08), // MAP_READ | COPY_DST
    );
    this.free = [...this.all];
  }

  /** Runs waiting for this many earlier ones at most; await the oldest result when it is 0. */
  get room(): number {
    return this.free.length;
  }

  /** Runs the program once and returns its values when the device has them. Errors: DeviceLostError. */
  async run(): Promise<Record<Name, number>> {
    const staging = this.free.pop();
    if (!staging)
      throw new ActionError(`'${this.program.label}' has ${this.all.length} runs in flight; await one of them first`);
    this.program.run((encoder) => {
      for (const { buffer, from, bytes, at } of this.sources)
        encoder.copyBufferToBuffer(buffer, from, staging, at, bytes);
    });
    try {
      await staging.mapAsync(0x01);
    } catch (cause) {
      this.device.throwIfFailed();
      throw new DeviceLostError(`the results of '${this.program.label}' never came: ${String(cause)}`, { cause });
    }
    const mapped = staging.getMappedRange();
    const values = this.sources.map(({ name, at }) => [name, new Float32Array(mapped, at, 1)[0]]);
    staging.unmap();
    this.free.push(staging);
    return Object.fromEntries(values) as Record<Name, number>;
  }

  destroy(): void {
    for (const buffer of this.all) this.device.destroyBuffer(buffer);
  }
}
