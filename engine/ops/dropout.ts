import { dropoutKernel } from '../../shaders/dropout.wgsl.ts';
import { ShapeError } from '../errors.ts';
import type { Recording } from '../recording.ts';
import { rows, type Tensor, vec4s } from '../tensor.ts';

export interface DropoutOptions {
  /** Dense u32 [seed, step]: with the stream they name the mask, so every step and every layer drops others. */
  counters: Tensor;
  /** A number of this layer's own. */
  stream: number;
}

/**
 * Each element is zero with `probability`, else x / (1 - probability); the same mask in the backward pass.
 * torch.nn.functional.dropout while training; leave it out when not.
 * Errors: ShapeError unless 0 <= probability < 1.
 */
export function dropout(rec: Recording, x: Tensor, probability: number, options: DropoutOptions): Tensor {
  return dropped(rec, x, probability, options, false);
}

/** Drops whole channels of a sample: [N, D, H, W, C]. torch.nn.functional.dropout3d. */
export function dropout3d(rec: Recording, x: Tensor, probability: number, options: DropoutOptions): Tensor {
  return dropped(rec, x, probability, options, true);
}

function dropped(
  rec: Recording,
  x: Tensor,
  probability: number,
  { counters, stream }: DropoutOptions,
  whole: boolean,
): Tensor {
  if (!(probability >= 0 && probability < 1)) {
    throw new ShapeError(`dropout: the probability is ${probability}; it must be at least 0 and below 1`);
  }
  const count = vec4s(x);
  const rowsPerSample = x.shape.length > 1 ? rows(x) / x.shape[0] : 1;
  const params = { count, rows: rowsPerSample, pitch: x.pitch / 4, stream, probability };
  const y = rec.like(x, 'dropout');
  rec.dispatch(dropoutKernel(whole), { x, counters, y }, params, count);
  return rec.node('dropout', [x], y, (dy, gradients) => {
    const dx = gradients.out(0);
    if (dx) rec.dispatch(dropoutKernel(whole), { x: dy, counters, y: dx }, params, count);
  });
}
