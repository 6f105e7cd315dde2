import type { Dense } from './dense.ts';

/** ring[(cursor + r) mod K] = rows[r], in place; rows [R, ...], ring [K, ...]. */
export function ringWrite(ring: Dense, rows: Dense, cursor: number): void {
  const length = ring.data.length / ring.shape[0];
  for (let r = 0; r < rows.shape[0]; r++)
    for (let i = 0; i < length; i++) ring.data[((cursor + r) % ring.shape[0]) * length + i] = rows.data[r * length + i];
}
