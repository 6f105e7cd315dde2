import { storedBytes, type Tensor } from './tensor.ts';

/** Several pieces of work that one dispatch can do, put off until a command uses what one of them writes, or to the end. */
export interface Batch {
  /** What it will write so far, behind the commands that there are by then. */
  readonly outputs: readonly Tensor[];
  /** Appends its commands. */
  write(): void;
}

/** The batches of a recording that wait, each under an object that says what belongs together. */
export class Batches {
  private readonly waiting = new Map<object, Batch>();

  /** The one that waits under `key`, or a new one. */
  under<B extends Batch>(key: object, create: () => B): B {
    const batch = this.waiting.get(key) ?? create();
    this.waiting.set(key, batch);
    return batch as B;
  }

  /** Writes every batch that writes into the bytes of `t`, or all. */
  settle(t?: Tensor): void {
    for (const [key, batch] of this.waiting) {
      if (!t || batch.outputs.some((output) => overlap(output, t))) this.write(key);
    }
  }

  write(key: object): void {
    const batch = this.waiting.get(key);
    this.waiting.delete(key);
    batch?.write();
  }
}

function overlap(a: Tensor, b: Tensor): boolean {
  return a.storage === b.storage && a.offset < b.offset + storedBytes(b) && b.offset < a.offset + storedBytes(a);
}
