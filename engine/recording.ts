import { addKernel, fillKernel } from '../shaders/elementwise.wgsl.ts';
import { Batches } from './batch.ts';
import { bf16Form } from './bf16.ts';
import { type Command, commandText, lifetimesOf } from './command.ts';
import { Deferred, type Normed } from './deferred.ts';
import type { Device } from './device.ts';
import { ActionError, FitError, ShapeError } from './errors.ts';
import { type Kernel, packParams } from './kernel.ts';
import { type MemoryPlan, planMemory } from './memory.ts';
import { ceilDiv, formatShape, roundUp, sameShape } from './shape.ts';
import * as tape from './tape.ts';
import { type Dtype, elementBytes, pitchOf, type Storage, storedBytes, type Tensor, vec4s } from './tensor.ts';

/** Bytes a recording will hold once it is a program. */
export interface RecordingPlan extends MemoryPlan {
  /** Uniform buffer with the parameters of all dispatches. */
  readonly paramsBytes: number;
  /** Slots plus parameters: exactly what Program.create allocates. */
  readonly totalBytes: number;
}

export const PARAMS_ALIGNMENT = 256;
const WORDS = PARAMS_ALIGNMENT / 4;
const MAX_GROUPS = 65535;

/**
 * A traced piece of work: ops append commands here, the tape remembers what made what, plan() tells the memory it will
 * take. `Program.create` turns it into something that runs.
 */
export class Recording {
  readonly device: Device;
  readonly label: string;
  readonly commands: Command[] = [];
  private readonly nodes: tape.Node[] = [];
  /** Packed parameters in blocks of PARAMS_ALIGNMENT bytes of the program's uniform buffer; those of one dispatch begin a block. */
  readonly params: Uint32Array<ArrayBuffer>[] = [];
  private readonly paramsOffsets = new Map<string, number>();
  /** Storages that a command writes; others may be read only when persistent. */
  readonly written = new Set<Storage>();
  readonly kept = new Set<Storage>();
  private readonly deferred = new Deferred();
  /** Work that waits to become one dispatch. */
  readonly batches = new Batches();
  private readonly moments = new Map<Storage, { readonly of: Tensor; readonly moments: Tensor }>();
  /** Of all temporaries, as if none shared its memory with another. */
  bytes = 0;
  private gradEnabled = true;
  /** Set by Program: nothing can be added any more. */
  sealed = false;

  constructor(device: Device, label: string) {
    this.device = device;
    this.label = label;
  }

  // ---- tensors ----------------------------------------------------------------------------------------------------

  /** A temporary: memory is planned from its first to its last use in this recording. */
  tensor(shape: readonly number[], label: string, options: { dtype?: Dtype; dense?: boolean } = {}): Tensor {
    if (shape.some((n) => !Number.isInteger(n) || n < 1)) {
      throw new ShapeError(
        `'${label}' would have shape ${formatShape(shape)}; every extent must be a positive integer`,
      );
    }
    const pitch = pitchOf(shape, options.dense ?? false);
    const dtype = options.dtype ?? 'f32';
    const elements = shape.slice(0, -1).reduce((a, b) => a * b, 1) * pitch;
    const bytes = Math.max(16, roundUp(elements * elementBytes(dtype), 16));
    const limit = Math.min(this.device.limits.maxStorageBufferBindingSize, this.device.limits.maxBufferSize);
    if (bytes > limit) {
      throw new FitError(
        `'${label}' ${formatShape(shape)} needs ${bytes} bytes in one buffer but this adapter allows ${limit}; use a smaller patch, batch or fewer channels`,
      );
    }
    const storage: Storage = { label, bytes };
    this.bytes += bytes;
    return { label, shape, pitch, dtype, storage, offset: 0, requiresGrad: false };
  }

  /** A temporary of the same shape, dtype and layout. */
  like(t: Tensor, label: string): Tensor {
    return this.tensor(t.shape, label, {
      dtype: t.dtype,
      dense: t.pitch === t.shape[t.shape.length - 1] && t.pitch % 4 !== 0,
    });
  }

  /** The same values under another shape; the stored bytes must not change. No gradient is lost. */
  reshape(t: Tensor, shape: readonly number[]): Tensor {
    const view: Tensor = { ...t, shape, pitch: pitchOf(shape, t.pitch % 4 !== 0), grad: undefined };
    if (storedBytes(view) !== storedBytes(t) || (view.pitch !== t.pitch && t.pitch !== t.shape[t.shape.length - 1])) {
      throw new ShapeError(
        `reshape: '${t.label}' ${formatShape(t.shape)} does not lie in memory as ${formatShape(shape)}`,
      );
    }
    return this.node('reshape', [t], view, (dy, gradients) => gradients.pass(0, this.reshape(dy, t.shape)));
  }

  /** The same values, cut off from differentiation. */
  detach(t: Tensor): Tensor {
    return { ...t, requiresGrad: false, grad: undefined };
  }

  /** Keeps a temporary readable after the program ran: its memory is not shared with anything later. */
  keep(t: Tensor): Tensor {
    if (this.sealed) throw new ActionError(`'${this.label}' is compiled; keep '${t.label}' before that`);
    this.settle(t);
    this.kept.add(t.storage);
    return t;
  }

  /** Puts off what writes `t` until a command uses it, which may never be. */
  defer(t: Tensor, normed: Normed, write: () => void): void {
    this.deferred.add(t, normed, write);
  }

  /** What a kernel may read in place of `t`, which nothing has needed so far. */
  pending(t: Tensor): Normed | undefined {
    return this.deferred.pending(t);
  }

  /**
   * Remembers what a kernel found out about `t` [N, ..., C] while it wrote it, until a command changes it: mean, sum of squared
   * deviations and count of parts of every sample, channel by channel, [N x parts x {mean, M2, count}, C].
   */
  noteMoments(t: Tensor, moments: Tensor): void {
    this.moments.set(t.storage, { of: t, moments });
  }

  /** What noteMoments was told, undefined also for a part or another view of the tensor. */
  momentsOf(t: Tensor): Tensor | undefined {
    const noted = this.moments.get(t.storage);
    return noted && t.offset === noted.of.offset && sameShape(t.shape, noted.of.shape) ? noted.moments : undefined;
  }

  // ---- commands ---------------------------------------------------------------------------------------------------

  /**
   * Appends a kernel. `tensors` by binding name, `params` by field name of `struct Params`, `work` either the number
   * of invocations (folded over two dimensions where one holds only 65,535 groups) or explicit workgroup counts. Tensors in
   * bfloat16 take the kernel's form for them.
   */
  dispatch(
    given: Kernel,
    tensors: Readonly<Record<string, Tensor>>,
    params: Readonly<Record<string, number>>,
    work: number | readonly [number, number, number],
  ): void {
    const halves = given.bindings.flatMap(({ name }) => (tensors[name]?.dtype === 'bf16' ? [name] : []));
    const kernel = halves.length > 0 ? bf16Form(given, halves) : given;
    for (const t of Object.values(tensors)) this.settle(t);
    const writes = new Set<Storage>();
    for (const { name, access } of kernel.bindings) {
      if (access === 'read_write') writes.add(this.bound(kernel, tensors, name).storage);
    }
    for (const { name, access } of kernel.bindings) {
      if (access !== 'read' && access !== 'uniform') continue;
      const t = this.bound(kernel, tensors, name);
      if (writes.has(t.storage))
        throw new ActionError(`kernel '${kernel.name}' would read and write '${t.storage.label}' at once`);
      this.assertWritten(t, kernel.name);
    }
    for (const storage of writes) this.writes(storage, kernel.name);
    this.append({
      kind: 'dispatch',
      kernel,
      tensors,
      paramsOffset: kernel.params.length > 0 ? this.pushParams(packParams(kernel, params)) : 0,
      groups: typeof work === 'number' ? fold(ceilDiv(work, kernel.workgroup[0])) : checkedGroups(kernel, work),
    });
  }

  /** Moves the last command in front of all others: one that follows from persistent tensors alone, as they are before all of them. */
  moveToFront(): void {
    this.commands.unshift(...this.commands.splice(-1));
  }

  copy(from: Tensor, to: Tensor): void {
    if (storedBytes(from) !== storedBytes(to) || (from.dtype === 'bf16') !== (to.dtype === 'bf16')) {
      throw new ShapeError(
        `copy: '${from.label}' ${formatShape(from.shape)} ${from.dtype} into '${to.label}' ${formatShape(to.shape)} ${to.dtype}`,
      );
    }
    for (const t of [from, to]) this.settle(t);
    this.assertWritten(from, 'copy');
    this.writes(to.storage, 'copy');
    this.append({ kind: 'copy', from, to });
  }

  /** Sets a tensor to zero. */
  clear(tensor: Tensor): void {
    this.settle(tensor);
    this.writes(tensor.storage, 'clear');
    this.append({ kind: 'clear', tensor });
  }

  // ---- differentiation --------------------------------------------------------------------------------------------

  /** Registers an op's output and its backward rule; returns the output, marked when a gradient will flow. */
  node(op: string, inputs: readonly Tensor[], output: Tensor, backward: tape.Node['backward']): Tensor {
    if (!this.gradEnabled || !inputs.some((t) => t.requiresGrad)) return { ...output, requiresGrad: false };
    const marked = { ...output, requiresGrad: true };
    this.nodes.push({ op, inputs, output: marked, backward });
    return marked;
  }

  /** Runs `body` without remembering anything for backward. */
  noGrad<T>(body: () => T): T {
    const before = this.gradEnabled;
    this.gradEnabled = false;
    try {
      return body();
    } finally {
      this.gradEnabled = before;
    }
  }

  /**
   * Appends the backward pass of a loss (shape [1]) or, with `seed`, of any output given its gradient. Gradients of
   * `leaves` that the loss does not reach are set to zero, so that a replay never sees old ones.
   */
  backward(output: Tensor, options: { seed?: Tensor; leaves?: readonly Tensor[] } = {}): void {
    const seed = options.seed ?? this.constant(output, 1);
    if (!sameShape(seed.shape, output.shape)) {
      throw new ShapeError(
        `backward: gradient ${formatShape(seed.shape)} for '${output.label}' ${formatShape(output.shape)}`,
      );
    }
    if (!output.requiresGrad) {
      throw new ActionError(`backward: nothing with a gradient leads to '${output.label}'`);
    }
    const reached = this.noGrad(() =>
      tape.backward(this.nodes, output, seed, {
        like: (t, label) => this.like(t, label),
        sum: (a, b) => {
          const sum = this.like(a, `${a.label}+`);
          this.dispatch(addKernel(), { a, b, y: sum }, { count: vec4s(a) }, vec4s(a));
          return sum;
        },
        accumulate: (target, g) => {
          const before = this.like(target, `${target.label}.before`);
          this.copy(target, before);
          this.dispatch(addKernel(), { a: before, b: g, y: target }, { count: vec4s(g) }, vec4s(g));
        },
        copy: (from, to) => this.copy(from, to),
        clear: (target) => this.clear(target),
      }),
    );
    this.nodes.length = 0;
    this.batches.settle();
    for (const leaf of options.leaves ?? []) {
      if (leaf.grad && !reached.has(leaf)) this.clear(leaf.grad);
    }
  }

  /** A tensor like `t` filled with one value (its padding stays zero). */
  constant(t: Tensor, value: number): Tensor {
    const filled = this.like(t, `${value}`);
    const params = { count: vec4s(t), channels: t.shape[t.shape.length - 1], pitch: t.pitch / 4, value };
    this.dispatch(fillKernel(), { y: filled }, params, vec4s(t));
    return filled;
  }

  // ---- memory -----------------------------------------------------------------------------------------------------

  /** What the program will allocate, known before anything is. */
  plan(): RecordingPlan {
    this.batches.settle();
    const memory = planMemory(lifetimesOf(this.commands, this.kept));
    const paramsBytes = Math.max(PARAMS_ALIGNMENT, this.params.length * PARAMS_ALIGNMENT);
    return { ...memory, paramsBytes, totalBytes: memory.bytes + paramsBytes };
  }

  /** One line a command: kernel, groups, what it reads and writes. */
  toString(): string {
    const { bytes, slots, unsharedBytes } = this.plan();
    const lines = this.commands.map((command, i) => `${String(i).padStart(4)} ${commandText(command)}`);
    return [...lines, `${bytes} bytes in ${slots.length} buffers (${unsharedBytes} unshared)`].join('\n');
  }

  /** Has a tensor written that a command is about to use. */
  private settle(t: Tensor): void {
    this.deferred.settle(t.storage);
    this.batches.settle(t);
  }

  private writes(storage: Storage, by: string): void {
    this.written.add(storage);
    this.deferred.changed(storage, by);
    this.moments.delete(storage);
  }

  private append(command: Command): void {
    if (this.sealed) throw new ActionError(`'${this.label}' is compiled; nothing can be added to it`);
    this.commands.push(command);
  }

  private bound(kernel: Kernel, tensors: Readonly<Record<string, Tensor>>, name: string): Tensor {
    const t = tensors[name];
    if (!t) throw new ActionError(`kernel '${kernel.name}': nothing is bound to '${name}'`);
    return t;
  }

  private assertWritten(t: Tensor, by: string): void {
    if (t.storage.buffer || this.written.has(t.storage)) return;
    throw new ActionError(`${by}: '${t.label}' is read before anything wrote it`);
  }

  private pushParams(packed: Uint32Array<ArrayBuffer>): number {
    const key = packed.join(',');
    let offset = this.paramsOffsets.get(key);
    if (offset === undefined) {
      offset = this.params.length * PARAMS_ALIGNMENT;
      for (let at = 0; at < packed.length; at += WORDS) this.params.push(packed.slice(at, at + WORDS));
      this.paramsOffsets.set(key, offset);
    }
    return offset;
  }
}

/** Workgroups over x, spilling into y where one dimension is too short; shaders undo it with `flat_index`. */
function fold(groups: number): [number, number, number] {
  const y = ceilDiv(groups, MAX_GROUPS);
  return [ceilDiv(groups, y), y, 1];
}

function checkedGroups(k: Kernel, groups: readonly [number, number, number]): readonly [number, number, number] {
  if (groups.some((n) => n > MAX_GROUPS)) {
    throw new FitError(
      `kernel '${k.name}' would need ${groups.join(' x ')} workgroups; one dimension holds ${MAX_GROUPS}`,
    );
  }
  return groups;
}
