import { overlap, type Storage, type Tensor } from './tensor.ts';

/** Several pieces of work that one dispatch can do, put off until a command uses what one of them writes, or to the end. */
export interface Batch {
  /** Tensors that hold what they should only once it is written. */
  readonly outputs: readonly Tensor[];
  /** Appends its command. */
  write(): void;
}

interface Waiting {
  readonly kind: string;
  readonly storage: Storage;
  readonly batch: Batch;
}

/** The batches of a recording that wait: of each kind one for a storage. */
export class Batches {
  private waiting: readonly Waiting[] = [];

  /** The one of this kind that waits for a storage, or a new one. */
  under<B extends Batch>(kind: string, storage: Storage, create: () => B): B {
    const found = this.waiting.find((other) => other.kind === kind && other.storage === storage);
    if (found) return found.batch as B;
    const batch = create();
    this.waiting = [...this.waiting, { kind, storage, batch }];
    return batch;
  }

  /** Writes every batch that writes into the bytes of `t`, or all. */
  settle(t?: Tensor): void {
    for (const { batch } of this.waiting) {
      if (!t || batch.outputs.some((output) => overlap(output, t))) this.write(batch);
    }
  }

  /** Writes a batch, unless that is done already. */
  write(batch: Batch): void {
    const others = this.waiting.filter((other) => other.batch !== batch);
    if (others.length === this.waiting.length) return;
    this.waiting = others;
    batch.write();
  }
}
