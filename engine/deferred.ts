import { ActionError } from './errors.ts';
import { sameShape } from './shape.ts';
import type { Storage, Tensor } from './tensor.ts';

/** leaky_relu(gamma (x - mean) rstd + beta) with stats [N, {mean, rstd}, C]: kernels may compute it while they read x. */
export interface Normed {
  readonly x: Tensor;
  readonly stats: Tensor;
  readonly gamma: Tensor;
  readonly beta: Tensor;
  readonly slope: number;
}

interface Entry {
  readonly tensor: Tensor;
  readonly normed: Normed;
  readonly write: () => void;
  /** The command that changed what the tensor follows from. */
  spoiledBy?: string;
}

/** Outputs of norms that no command has used yet: a convolution may read what they follow from instead. */
export class Deferred {
  private readonly entries = new Map<Storage, Entry>();

  add(tensor: Tensor, normed: Normed, write: () => void): void {
    this.entries.set(tensor.storage, { tensor, normed, write });
  }

  /** What `t` follows from while it is not written; undefined also for a part of such a tensor or another view of it. */
  pending(t: Tensor): Normed | undefined {
    const entry = this.entries.get(t.storage);
    if (!entry || entry.spoiledBy || t.offset !== entry.tensor.offset || !sameShape(t.shape, entry.tensor.shape))
      return undefined;
    return entry.normed;
  }

  /** Writes what lies in the storage, before a command uses it. Errors: ActionError where that has become impossible. */
  settle(storage: Storage): void {
    const entry = this.entries.get(storage);
    if (!entry) return;
    if (entry.spoiledBy) {
      throw new ActionError(
        `'${entry.tensor.label}' is first used after '${entry.spoiledBy}' changed what it follows from; use or keep it before`,
      );
    }
    this.entries.delete(storage);
    entry.write();
  }

  /** A command changes a storage: what follows from it cannot be written any more. */
  changed(storage: Storage, by: string): void {
    for (const entry of this.entries.values()) {
      const { x, stats, gamma, beta } = entry.normed;
      if ([x, stats, gamma, beta].some((source) => source.storage === storage)) entry.spoiledBy ??= by;
    }
  }
}
