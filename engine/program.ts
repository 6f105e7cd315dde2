import type { Command } from './command.ts';
import type { Device } from './device.ts';
import { ActionError, GpuMemoryError } from './errors.ts';
import type { Kernel } from './kernel.ts';
import { PARAMS_ALIGNMENT, Recording, type RecordingPlan } from './recording.ts';
import { roundUp } from './shape.ts';
import { fromStored, type Storage, storedBytes, type Tensor } from './tensor.ts';

type Dispatch = { pipeline: GPUComputePipeline; group: GPUBindGroup; groups: readonly [number, number, number] };
type Copy = Exclude<Command, { kind: 'dispatch' }>;

/** Commands [from, to), by default all, `times` over; `stamps` takes the device's clock before and after as queries 0 and 1. */
export interface EncodedPart {
  readonly from?: number;
  readonly to?: number;
  readonly times?: number;
  readonly stamps?: GPUQuerySet;
}

/**
 * A recording with its memory allocated, its kernels compiled and its bind groups cached. run() encodes the same
 * commands every time, so the first run and every replay are the same to the bit.
 */
export class Program {
  readonly device: Device;
  readonly label: string;
  readonly plan: RecordingPlan;
  private readonly recording: Recording;
  private readonly steps: readonly (Dispatch | Copy)[];
  private buffers: readonly GPUBuffer[];

  private constructor(recording: Recording, plan: RecordingPlan, steps: (Dispatch | Copy)[], buffers: GPUBuffer[]) {
    this.device = recording.device;
    this.label = recording.label;
    this.recording = recording;
    this.plan = plan;
    this.steps = steps;
    this.buffers = buffers;
  }

  /**
   * Compiles all kernels (in parallel where the driver can), allocates the plan and binds. Errors: GpuMemoryError when
   * the GPU has no room, GpuValidationError when a kernel does not compile.
   */
  static async create(recording: Recording): Promise<Program> {
    const { device, commands, label } = recording;
    const plan = recording.plan();
    recording.sealed = true;
    const kernels = new Set(commands.flatMap((c) => (c.kind === 'dispatch' ? [c.kernel] : [])));
    const pipelines = new Map<Kernel, GPUComputePipeline>();
    await Promise.all([...kernels].map(async (k) => pipelines.set(k, await device.pipeline(k))));

    device.gpu.pushErrorScope('out-of-memory');
    const slots = plan.slots.map((bytes, i) => device.createBuffer(bytes, `${label}.slot${i}`));
    const uniform = device.createBuffer(plan.paramsBytes, `${label}.params`, 0x40 | 0x08); // UNIFORM | COPY_DST
    const outOfMemory = await device.gpu.popErrorScope();
    if (outOfMemory) {
      for (const buffer of [...slots, uniform]) device.destroyBuffer(buffer);
      throw new GpuMemoryError(
        `the GPU has no room for the ${plan.totalBytes} bytes of '${label}' (${outOfMemory.message}); use a smaller patch, batch or fewer channels`,
      );
    }
    for (const [i, packed] of recording.params.entries()) {
      device.gpu.queue.writeBuffer(uniform, i * PARAMS_ALIGNMENT, packed);
    }

    const bufferOf = (storage: Storage): GPUBuffer => storage.buffer ?? slots[plan.slotOf.get(storage) as number];
    const place = (t: Tensor): Tensor => ({ ...t, storage: { ...t.storage, buffer: bufferOf(t.storage) } });
    const steps = commands.map((command): Dispatch | Copy => {
      if (command.kind === 'copy') return { ...command, from: place(command.from), to: place(command.to) };
      if (command.kind === 'clear') return { ...command, tensor: place(command.tensor) };
      const { kernel, tensors, paramsOffset, groups } = command;
      const pipeline = pipelines.get(kernel) as GPUComputePipeline;
      const entries = kernel.bindings.map(({ index, name, access }) => {
        if (access === 'params') {
          return {
            binding: index,
            resource: { buffer: uniform, offset: paramsOffset, size: roundUp(kernel.params.length * 4, 16) },
          };
        }
        const t = tensors[name];
        return {
          binding: index,
          resource: { buffer: bufferOf(t.storage), offset: t.offset, size: Math.max(16, storedBytes(t)) },
        };
      });
      const group = device.gpu.createBindGroup({ label: kernel.name, layout: pipeline.getBindGroupLayout(0), entries });
      return { pipeline, group, groups };
    });
    device.throwIfFailed();
    return new Program(recording, plan, steps, [...slots, uniform]);
  }

  /** Submits everything: one encoder, one pass between copies, one submit. `then` may append copies. */
  run(then?: (encoder: GPUCommandEncoder) => void): void {
    if (this.buffers.length === 0) throw new ActionError(`'${this.label}' was destroyed and cannot run`);
    this.device.throwIfFailed();
    const encoder = this.device.gpu.createCommandEncoder();
    encode(encoder, this.steps);
    then?.(encoder);
    this.device.gpu.queue.submit([encoder.finish()]);
  }

  /** A part of the commands, encoded but not submitted, for benches. Errors: ActionError after destroy(). */
  encoded({ from = 0, to = this.steps.length, times = 1, stamps }: EncodedPart = {}): GPUCommandBuffer {
    if (this.buffers.length === 0) throw new ActionError(`'${this.label}' was destroyed and cannot be encoded`);
    const encoder = this.device.gpu.createCommandEncoder();
    const stamp = (writes: Omit<GPUComputePassTimestampWrites, 'querySet'>) => {
      if (stamps) encoder.beginComputePass({ timestampWrites: { querySet: stamps, ...writes } }).end();
    };
    const part = this.steps.slice(from, to);
    stamp({ beginningOfPassWriteIndex: 0 });
    encode(encoder, Array.from({ length: times }, () => part).flat());
    stamp({ endOfPassWriteIndex: 1 });
    return encoder.finish();
  }

  /** Runs every command alone; median time of `repeats` in milliseconds, for benches: wall time, or what `clock` counts. */
  async profile(repeats = 3, clock: () => number = () => performance.now()): Promise<{ name: string; ms: number }[]> {
    const times: number[][] = this.steps.map(() => []);
    for (let repeat = 0; repeat < repeats; repeat++) {
      for (const [i, step] of this.steps.entries()) {
        await this.device.idle();
        const start = clock();
        const encoder = this.device.gpu.createCommandEncoder();
        encode(encoder, [step]);
        this.device.gpu.queue.submit([encoder.finish()]);
        await this.device.idle();
        times[i].push(clock() - start);
      }
    }
    return times.map((ms, i) => {
      const command = this.recording.commands[i];
      const name = command.kind === 'dispatch' ? command.kernel.name : command.kind;
      return { name, ms: ms.sort((a, b) => a - b)[ms.length >> 1] };
    });
  }

  /** The buffer a kept temporary or a persistent tensor lives in, at byte `t.offset`. */
  bufferOf(t: Tensor): GPUBuffer {
    if (t.storage.buffer) return t.storage.buffer;
    const slot = this.plan.slotOf.get(t.storage);
    if (slot === undefined || !this.recording.kept.has(t.storage)) {
      throw new ActionError(`'${t.label}' is a temporary of '${this.label}'; keep() it while recording to read it`);
    }
    return this.buffers[slot];
  }

  /** Downloads a kept temporary or a persistent tensor, without padding. */
  async read(t: Tensor): Promise<Float32Array | Uint32Array> {
    return fromStored(t, await this.device.readBuffer(this.bufferOf(t), t.offset, storedBytes(t)));
  }

  destroy(): void {
    for (const buffer of this.buffers) this.device.destroyBuffer(buffer);
    this.buffers = [];
  }
}

/** Records `body`, runs it once, reads what it returns, and frees everything it allocated. */
export async function compute<K extends string>(
  device: Device,
  body: (rec: Recording) => Record<K, Tensor>,
): Promise<Record<K, Float32Array>> {
  const recording = new Recording(device, 'compute');
  const results = Object.entries<Tensor>(body(recording));
  for (const [, t] of results) recording.keep(t);
  const program = await Program.create(recording);
  try {
    program.run();
    const values: [string, Float32Array | Uint32Array][] = [];
    for (const [name, t] of results) values.push([name, await program.read(t)]);
    return Object.fromEntries(values) as Record<K, Float32Array>;
  } finally {
    program.destroy();
  }
}

function encode(encoder: GPUCommandEncoder, steps: readonly (Dispatch | Copy)[]): void {
  let pass: GPUComputePassEncoder | undefined;
  for (const step of steps) {
    if ('pipeline' in step) {
      pass ??= encoder.beginComputePass();
      pass.setPipeline(step.pipeline);
      pass.setBindGroup(0, step.group);
      pass.dispatchWorkgroups(step.groups[0], step.groups[1], step.groups[2]);
      continue;
    }
    pass?.end();
    pass = undefined;
    if (step.kind === 'copy') {
      const { from, to } = step;
      encoder.copyBufferToBuffer(from.storage.buffer!, from.offset, to.storage.buffer!, to.offset, storedBytes(from));
    } else {
      encoder.clearBuffer(step.tensor.storage.buffer!, step.tensor.offset, storedBytes(step.tensor));
    }
  }
  pass?.end();
}
