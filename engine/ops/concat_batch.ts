import { ShapeError } from '../errors.ts';
import type { Recording } from '../recording.ts';
import { formatShape, sameShape } from '../shape.ts';
import { storedBytes, type Tensor } from '../tensor.ts';

/**
 * Joins along the first axis: [N1, ..., C], [N2, ..., C], ... -> [N1 + N2 + ..., ..., C]. torch.cat(inputs, dim=0). Each
 * input's gradient is its samples of dy. sliceBatch is the way back.
 */
export function concatBatch(rec: Recording, inputs: readonly Tensor[]): Tensor {
  const [first] = inputs;
  for (const x of inputs) {
    if (
      x.dtype !== first.dtype ||
      x.dtype === 'u32' ||
      x.pitch % 4 !== 0 ||
      !sameShape(x.shape.slice(1), first.shape.slice(1))
    ) {
      throw new ShapeError(
        `concatBatch: '${x.label}' ${formatShape(x.shape)} and '${first.label}' ${formatShape(first.shape)} must be channel tensors that agree in all axes but the first`,
      );
    }
  }
  const samples = inputs.reduce((sum, x) => sum + x.shape[0], 0);
  const y = rec.tensor([samples, ...first.shape.slice(1)], 'concat_batch', { dtype: first.dtype });
  const starts: number[] = [];
  let end = 0;
  for (const x of inputs) {
    starts.push(end);
    rec.copy(x, { ...y, shape: x.shape, offset: end });
    end += storedBytes(x);
  }
  return rec.node('concat_batch', inputs, y, (dy, gradients) => {
    inputs.forEach((x, k) => {
      const dx = gradients.out(k);
      if (dx) rec.copy({ ...dy, shape: x.shape, offset: dy.offset + starts[k] }, dx);
    });
  });
}
