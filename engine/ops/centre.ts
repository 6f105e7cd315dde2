import { centreKernel } from '../../shaders/centre.wgsl.ts';
import { ShapeError } from '../errors.ts';
import type { Recording } from '../recording.ts';
import { formatShape } from '../shape.ts';
import { channels, type Tensor, vec4s } from '../tensor.ts';

/**
 * y[r] = x[r] - sums / max(n, 1), n = scalars[index] read on the device: x [R, ...] less the mean of n rows whose sum is
 * `sums`, of one row's elements. The mean takes no gradient: dx = dy.
 */
export function centre(rec: Recording, x: Tensor, sums: Tensor, scalars: Tensor, index: number): Tensor {
  const units = vec4s(sums);
  if (vec4s(x) !== units * x.shape[0] || !(index >= 0 && index < channels(scalars))) {
    throw new ShapeError(
      `centre: '${sums.label}' ${formatShape(sums.shape)} must lie like a row of '${x.label}' ${formatShape(x.shape)}, and ${index} in '${scalars.label}' ${formatShape(scalars.shape)}`,
    );
  }
  const y = rec.like(x, 'centre');
  const count = vec4s(x);
  rec.dispatch(centreKernel(), { x, sums, scalars, y }, { count, units, slot: index }, count);
  return rec.node('centre', [x], y, (dy, gradients) => gradients.pass(0, dy));
}
