import { ShapeError } from '../errors.ts';
import type { Recording } from '../recording.ts';
import { formatShape, sameShape } from '../shape.ts';
import { channels, type Tensor } from '../tensor.ts';
import { copyChannels } from './copy_channels.ts';

/**
 * Joins along the channels: [..., C1], [..., C2], ... -> [..., C1 + C2 + ...]. torch.cat(inputs, dim=-1). Each input's
 * gradient is its channels of dy. Fast where every input but the last has a multiple of four channels.
 */
export function concat(rec: Recording, inputs: readonly Tensor[]): Tensor {
  const [first] = inputs;
  const lead = first.shape.slice(0, -1);
  for (const x of inputs) {
    if (!sameShape(x.shape.slice(0, -1), lead) || x.dtype !== first.dtype) {
      throw new ShapeError(
        `concat: '${x.label}' ${formatShape(x.shape)} and '${first.label}' ${formatShape(first.shape)} must agree in all axes but the last and in dtype`,
      );
    }
  }
  const total = inputs.reduce((sum, x) => sum + channels(x), 0);
  const y = rec.tensor([...lead, total], 'concat', { dtype: first.dtype });
  const starts: number[] = [];
  let to = 0;
  inputs.forEach((x, k) => {
    starts.push(to);
    const width = k === inputs.length - 1 ? y.pitch - to : channels(x);
    copyChannels(rec, x, y, { from: 0, to, lead: 0, length: channels(x), width });
    to += channels(x);
  });
  return rec.node('concat', inputs, y, (dy, gradients) => {
    inputs.forEach((x, k) => {
      const dx = gradients.out(k);
      if (dx) copyChannels(rec, dy, dx, { from: starts[k], to: 0, lead: 0, length: channels(x), width: dx.pitch });
    });
  });
}
