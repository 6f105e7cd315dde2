import type { Storage } from './tensor.ts';

/** First and last command that touches a storage, inclusive. */
export interface Lifetime {
  storage: Storage;
  first: number;
  last: number;
}

/** Which slot (one GPUBuffer each) every planned storage looks into. */
export interface MemoryPlan {
  /** Bytes of each slot. */
  readonly slots: readonly number[];
  readonly slotOf: ReadonlyMap<Storage, number>;
  /** Sum of the slots: what the recording will allocate for temporaries. */
  readonly bytes: number;
  /** What one buffer per storage would have taken. */
  readonly unsharedBytes: number;
}

interface Slot {
  bytes: number;
  taken: Lifetime[];
}

/**
 * Shares buffers between storages whose lifetimes do not meet: greedy by size, largest first, into the smallest slot
 * that is free for the whole lifetime (Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference",
 * 2020, Greedy by Size with shared objects). A slot is a buffer of its own, because Dawn tracks hazards per buffer.
 */
export function planMemory(lifetimes: readonly Lifetime[]): MemoryPlan {
  const slots: Slot[] = [];
  const slotOf = new Map<Storage, number>();
  const order = [...lifetimes].sort((a, b) => b.storage.bytes - a.storage.bytes || a.first - b.first);
  for (const life of order) {
    let best = -1;
    for (let i = 0; i < slots.length; i++) {
      const free = slots[i].taken.every((other) => other.last < life.first || life.last < other.first);
      if (free && (best < 0 || slots[i].bytes < slots[best].bytes)) best = i;
    }
    if (best < 0) best = slots.push({ bytes: life.storage.bytes, taken: [] }) - 1;
    slots[best].taken.push(life);
    slotOf.set(life.storage, best);
  }
  return {
    slots: slots.map((slot) => slot.bytes),
    slotOf,
    bytes: slots.reduce((sum, slot) => sum + slot.bytes, 0),
    unsharedBytes: lifetimes.reduce((sum, life) => sum + life.storage.bytes, 0),
  };
}
