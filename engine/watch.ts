import { NON_FINITE_CHUNK, nonFiniteKernel } from '../shaders/non_finite.wgsl.ts';
import type { Command } from './command.ts';
import type { Program } from './program.ts';
import { Recording } from './recording.ts';
import { ceilDiv, formatShape } from './shape.ts';
import { overlap, type Storage, storedBytes, type Tensor } from './tensor.ts';

/** The first tensor of a run that holds a NaN or an infinity. */
export interface NonFinite {
  readonly tensor: string;
  /** As the command binds it: a window of a tensor has the window's shape. */
  readonly shape: readonly number[];
  /** Whether it came so into the run (an upload, a parameter, a bank) or was written in it. */
  readonly input: boolean;
  /** Kernel that wrote it, or 'copy'; of an input the first one to read it. */
  readonly command: string;
  /** Labels of what that command reads. */
  readonly reads: readonly string[];
  /** Place of that command in the recording; of an op's many dispatches the last. */
  readonly index: number;
}

export interface Watched {
  /** The same work with checks between; what the source keeps is kept here too, under the same tensors. */
  readonly recording: Recording;
  /** What the last run of this recording's program met first, or undefined when all was finite. Waits for the run. */
  firstNonFinite(program: Program): Promise<NonFinite | undefined>;
}

/** Offsets of storage bindings are multiples of this (WebGPU's default limit). */
const BINDING_ALIGNMENT = 256;

/**
 * A recording, compiled already or not, that does the same work to the bit and watches itself: every tensor of floats is checked
 * right behind the command that wrote it, while its memory is still its own, and a persistent one before the first command
 * that reads it. What a kernel updates in place without reading it elsewhere (a momentum) is checked behind the update only.
 * Takes the source's memory, 16 bytes for the result and a block of parameters a check. Temporaries start as zeros.
 */
export function watch(source: Recording): Watched {
  source.batches.settle();
  const rec = new Recording(source.device, `${source.label}, watched`);
  rec.params.push(...source.params);
  for (const storage of source.kept) rec.kept.add(storage);
  for (const storage of source.written) rec.written.add(storage);
  const first = rec.keep(rec.tensor([1], 'first non-finite', { dtype: 'u32', dense: true }));
  rec.clear(first);

  const checks: NonFinite[] = [];
  const begun = new Set<Storage>();
  const checked = new Map<Storage, Tensor[]>();
  const check = (t: Tensor, found: Pick<NonFinite, 'input' | 'command' | 'reads' | 'index'>) => {
    if (t.dtype === 'u32') return;
    const offset = Math.floor(t.offset / BINDING_ALIGNMENT) * BINDING_ALIGNMENT;
    const count = (storedBytes(t) + t.offset - offset) / 4;
    const threads = ceilDiv(count, NON_FINITE_CHUNK);
    const code = checks.push({ tensor: t.label, shape: t.shape, ...found });
    const x: Tensor = { ...t, dtype: 'u32', shape: [count], pitch: count, offset };
    rec.dispatch(nonFiniteKernel(t.dtype), { x, first }, { count, threads, code }, threads);
  };
  /** Notes that a part of a persistent storage is known; true when it was not before. */
  const isNew = (t: Tensor): boolean => {
    const parts = checked.get(t.storage) ?? [];
    if (parts.some((part) => contains(part, t))) return false;
    checked.set(t.storage, [...parts, t]);
    return true;
  };

  source.commands.forEach((command, index) => {
    const reads = readBy(command);
    const found = { command: nameOf(command), reads: [...new Set(reads.map(({ label }) => label))], index };
    for (const t of reads) if (t.storage.buffer && isNew(t)) check(t, { ...found, input: true });
    const writes = writtenBy(command);
    for (const { storage } of writes) {
      // A part that no command has written yet would be judged by what the memory held before.
      if (!storage.buffer && !begun.has(storage)) rec.clear(whole(storage));
      begun.add(storage);
    }
    rec.commands.push(command);
    for (const t of writes) {
      if (t.storage.buffer) isNew(t);
      if (command.kind !== 'clear' && !continues(source.commands, index, t)) check(t, { ...found, input: false });
    }
  });

  return {
    recording: rec,
    async firstNonFinite(program) {
      const [code] = await program.read(first);
      return code === 0 ? undefined : checks[code - 1];
    },
  };
}

/** One sentence for the user. */
export function describeNonFinite({ tensor, shape, input, command, reads, index }: NonFinite): string {
  const name = `'${tensor}' ${formatShape(shape)}`;
  if (input) return `${name} held a NaN or an infinity before '${command}' (command ${index}) read it`;
  const from = reads.length > 0 ? ` from ${reads.map((label) => `'${label}'`).join(', ')}` : '';
  return `${name} is the first to hold a NaN or an infinity: '${command}' (command ${index}) wrote it${from}`;
}

function nameOf(command: Command): string {
  return command.kind === 'dispatch' ? command.kernel.name : command.kind;
}

function readBy(command: Command): Tensor[] {
  if (command.kind === 'copy') return [command.from];
  if (command.kind === 'clear') return [];
  const { kernel, tensors } = command;
  return kernel.bindings
    .filter(({ access }) => access === 'read' || access === 'uniform')
    .flatMap(({ name }) => tensors[name].parts ?? tensors[name]);
}

function writtenBy(command: Command): Tensor[] {
  if (command.kind === 'copy') return [command.to];
  if (command.kind === 'clear') return [command.tensor];
  const { kernel, tensors } = command;
  return kernel.bindings
    .filter(({ access }) => access === 'read_write')
    .flatMap(({ name }) => tensors[name].parts ?? tensors[name]);
}

/**
 * An op may write one tensor in many dispatches (a plane each, or the channels of one input): one check behind the last of them
 * does for all, unless something reads the tensor in between.
 */
function continues(commands: readonly Command[], index: number, t: Tensor): boolean {
  for (let i = index + 1; i < commands.length; i++) {
    const later = commands[i];
    if (writtenBy(later).some((other) => contains(t, other) && contains(other, t)))
      return nameOf(later) === nameOf(commands[index]);
    if ([...readBy(later), ...writtenBy(later)].some((other) => overlap(t, other))) return false;
  }
  return false;
}

function contains(a: Tensor, b: Tensor): boolean {
  return a.storage === b.storage && a.offset <= b.offset && b.offset + storedBytes(b) <= a.offset + storedBytes(a);
}

function whole(storage: Storage): Tensor {
  const elements = storage.bytes / 4;
  return {
    ...{ label: storage.label, shape: [elements], pitch: elements, dtype: 'u32' },
    ...{ storage, offset: 0, requiresGrad: false },
  };
}
