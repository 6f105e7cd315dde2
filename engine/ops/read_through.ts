import type { Recording } from '../recording.ts';
import type { Tensor } from '../tensor.ts';

/** How a kernel reads a tensor (shaders/shared/normed.ts). */
export interface ReadThrough {
  /** What to bind in place of it. */
  readonly source: Tensor;
  /** Whether the kernel computes the norm and the activation that lead from the source to the tensor. */
  readonly normed: boolean;
  /** What it binds beside the source for that. */
  readonly norm: Readonly<Record<string, Tensor>>;
  readonly slope: number;
}

/** Through the norm and activation that make it, as long as nothing has needed the tensor itself; else as it is. */
export function readThrough(rec: Recording, t: Tensor): ReadThrough {
  const normed = rec.pending(t);
  if (!normed) return { source: t, normed: false, norm: {}, slope: 0 };
  const { x: source, slope, ...norm } = normed;
  return { source, normed: true, norm, slope };
}
