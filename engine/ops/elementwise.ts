import { type Binary, binaryKernel, scaleByKernel, scaleKernel } from '../../shaders/elementwise.wgsl.ts';
import { ShapeError } from '../errors.ts';
import type { Recording } from '../recording.ts';
import { formatShape, sameShape } from '../shape.ts';
import { channels, type Tensor, vec4s } from '../tensor.ts';

/** y = a + b, shapes equal. */
export function add(rec: Recording, a: Tensor, b: Tensor): Tensor {
  return rec.node('add', [a, b], binary(rec, 'add', a, b), (dy, gradients) => {
    gradients.pass(0, dy);
    gradients.pass(1, dy);
  });
}

/** y = a - b, shapes equal. */
export function sub(rec: Recording, a: Tensor, b: Tensor): Tensor {
  return rec.node('sub', [a, b], binary(rec, 'sub', a, b), (dy, gradients) => {
    gradients.pass(0, dy);
    const db = gradients.out(1);
    if (db) rec.dispatch(scaleKernel(), { x: dy, y: db }, { count: vec4s(dy), factor: -1 }, vec4s(dy));
  });
}

/** y = a b element by element, shapes equal; da = dy b, db = dy a. */
export function mul(rec: Recording, a: Tensor, b: Tensor): Tensor {
  return rec.node('mul', [a, b], binary(rec, 'mul', a, b), (dy, gradients) => {
    const count = vec4s(dy);
    const da = gradients.out(0);
    if (da) rec.dispatch(binaryKernel('mul'), { a: dy, b, y: da }, { count }, count);
    const db = gradients.out(1);
    if (db) rec.dispatch(binaryKernel('mul'), { a: dy, b: a, y: db }, { count }, count);
  });
}

/** y = factor x, the factor fixed when the recording is made. */
export function scale(rec: Recording, x: Tensor, factor: number): Tensor {
  const count = vec4s(x);
  const y = rec.like(x, 'scale');
  rec.dispatch(scaleKernel(), { x, y }, { count, factor }, count);
  return rec.node('scale', [x], y, (dy, gradients) => {
    const dx = gradients.out(0);
    if (dx) rec.dispatch(scaleKernel(), { x: dy, y: dx }, { count, factor }, count);
  });
}

/**
 * y = scalars[index] x, read on the device, so that a ramp weight may change from step to step without recording anew.
 * `scalars` is dense f32 [K]; it takes no gradient.
 */
export function scaleBy(rec: Recording, x: Tensor, scalars: Tensor, index: number): Tensor {
  if (!Number.isInteger(index) || index < 0 || index >= channels(scalars)) {
    throw new ShapeError(`scaleBy: index ${index} is not in '${scalars.label}' ${formatShape(scalars.shape)}`);
  }
  const count = vec4s(x);
  const y = rec.like(x, 'scale_by');
  rec.dispatch(scaleByKernel(), { x, scalars, y }, { count, index }, count);
  return rec.node('scale_by', [x], y, (dy, gradients) => {
    const dx = gradients.out(0);
    if (dx) rec.dispatch(scaleByKernel(), { x: dy, scalars, y: dx }, { count, index }, count);
  });
}

function binary(rec: Recording, op: Binary, a: Tensor, b: Tensor): Tensor {
  if (!sameShape(a.shape, b.shape) || a.pitch !== b.pitch) {
    throw new ShapeError(
      `${op}: '${a.label}' ${formatShape(a.shape)} and '${b.label}' ${formatShape(b.shape)} must have one shape and layout`,
    );
  }
  const y = rec.like(a, op);
  rec.dispatch(binaryKernel(op), { a, b, y }, { count: vec4s(a) }, vec4s(a));
  return y;
}
