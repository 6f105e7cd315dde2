import type { Kernel } from './kernel.ts';
import type { Lifetime } from './memory.ts';
import { formatShape } from './shape.ts';
import { rows, type Storage, type Tensor } from './tensor.ts';

/** One thing the device will do. A recording is a list of these; printing it is the debugger. */
export type Command =
  | {
      kind: 'dispatch';
      kernel: Kernel;
      tensors: Readonly<Record<string, Tensor>>;
      paramsOffset: number;
      groups: readonly [number, number, number];
    }
  | { kind: 'copy'; from: Tensor; to: Tensor }
  | { kind: 'clear'; tensor: Tensor };

function touched(command: Command): Tensor[] {
  if (command.kind === 'copy') return [command.from, command.to];
  if (command.kind === 'clear') return [command.tensor];
  return Object.values(command.tensors);
}

/** From the first to the last command that touches each temporary; what is kept lives to the end. */
export function lifetimesOf(commands: readonly Command[], kept: ReadonlySet<Storage>): Lifetime[] {
  const lifetimes = new Map<Storage, Lifetime>();
  commands.forEach((command, i) => {
    for (const { storage } of touched(command)) {
      if (storage.buffer) continue;
      const life = lifetimes.get(storage);
      if (life) life.last = i;
      else lifetimes.set(storage, { storage, first: i, last: i });
    }
  });
  for (const storage of kept) {
    const life = lifetimes.get(storage);
    if (life) life.last = commands.length;
  }
  return [...lifetimes.values()];
}

/** Kernel, groups, what it reads and (behind a star) writes. */
export function commandText(command: Command): string {
  if (command.kind === 'copy') return `copy ${command.from.label} -> ${command.to.label}`;
  if (command.kind === 'clear') return `clear ${command.tensor.label}`;
  const tensors = command.kernel.bindings
    .filter((b) => b.access !== 'params')
    .map((b) => `${b.access === 'read_write' ? '*' : ''}${b.name}=${tensorText(command.tensors[b.name])}`);
  return `${command.kernel.name} <${command.groups.join(' ')}> ${tensors.join(' ')}`;
}

function tensorText(t: Tensor): string {
  return `${t.label}${formatShape([...t.shape])}${rows(t) === 0 ? '!' : ''}`;
}
