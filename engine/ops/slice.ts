import { copyChannelsKernel } from '../../shaders/copy_channels.wgsl.ts';
import { addIntoKernel } from '../../shaders/elementwise.wgsl.ts';
import { ShapeError } from '../errors.ts';
import type { Recording } from '../recording.ts';
import { formatShape } from '../shape.ts';
import { elementBytes, storedElements, type Tensor, vec4s } from '../tensor.ts';
import { copyChannels } from './copy_channels.ts';

/** Offsets of bindings must be multiples of this (WebGPU's default limit). */
const BINDING_ALIGNMENT = 256;

/** Channels from..to-1: x[..., from:to]. The gradient is dy in its channels, zero elsewhere. */
export function slice(rec: Recording, x: Tensor, from: number, to: number): Tensor {
  checkRange('slice', x, x.shape.length - 1, from, to);
  const length = to - from;
  const y = rec.tensor([...x.shape.slice(0, -1), length], 'slice', { dtype: x.dtype });
  copyChannels(rec, x, y, { from, to: 0, lead: 0, length, width: y.pitch });
  return rec.node('slice', [x], y, (dy, gradients) => {
    const dx = gradients.out(0);
    if (dx) copyChannels(rec, dy, dx, { from: 0, to: 0, lead: from, length, width: dx.pitch });
  });
}

/**
 * Samples from..to-1 of the first axis: x[from:to]. A view of x where the device can bind one (a start on a multiple of
 * 256 bytes), else a copy. The gradient is dy at its samples, zero elsewhere. Channel tensors of any rank above 1.
 */
export function sliceBatch(rec: Recording, x: Tensor, from: number, to: number): Tensor {
  checkRange('sliceBatch', x, 0, from, to);
  const shape = [to - from, ...x.shape.slice(1)];
  const start = (from * storedElements(x)) / x.shape[0] / 4;
  const offset = x.offset + start * 4 * elementBytes(x.dtype);
  let y: Tensor = { ...x, shape, offset, label: `${x.label}[${from}:${to}]`, grad: undefined };
  if (offset % BINDING_ALIGNMENT !== 0) {
    y = rec.tensor(shape, 'slice_batch', { dtype: x.dtype });
    const count = vec4s(y);
    rec.dispatch(
      copyChannelsKernel('vec4f'),
      { x, y },
      {
        ...{ count, width: count, length: count, x_pitch: vec4s(x), y_pitch: count },
        ...{ read_at: start, write_at: 0, lead: 0 },
      },
      count,
    );
  }
  return rec.node('slice_batch', [x], y, (dy, gradients) => {
    // All slices of one tensor add into one gradient; a gradient of their own each would be as large as x.
    const count = vec4s(dy);
    gradients.add(0, (dx) => rec.dispatch(addIntoKernel(), { x: dy, y: dx }, { count, at: start }, count));
  });
}

function checkRange(op: string, x: Tensor, axis: number, from: number, to: number): void {
  const whole = Number.isInteger(from) && Number.isInteger(to);
  if (
    x.dtype !== 'u32' &&
    x.pitch % 4 === 0 &&
    x.shape.length > 1 &&
    whole &&
    from >= 0 &&
    from < to &&
    to <= x.shape[axis]
  )
    return;
  throw new ShapeError(`${op}: ${from}:${to} is no range of axis ${axis} of '${x.label}' ${formatShape(x.shape)}`);
}
