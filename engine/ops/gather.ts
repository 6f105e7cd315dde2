import { fillKernel } from '../../shaders/elementwise.wgsl.ts';
import { gatherKernel, scatterAddKernel } from '../../shaders/gather.wgsl.ts';
import { ShapeError } from '../errors.ts';
import type { Recording } from '../recording.ts';
import { formatShape } from '../shape.ts';
import { channels, rows, type Tensor, vec4s } from '../tensor.ts';

/**
 * y[q] = x[index[q]]: rows of x [..., C], all axes but the last counted as rows, by a dense u32 index [Q] -> [Q, C]. An
 * index past the last row gives zeros. torch.index_select(x, 0, index). Its gradient is scatterAdd, at its cost.
 */
export function gather(rec: Recording, x: Tensor, index: Tensor): Tensor {
  const length = indexLength('gather', index);
  const y = rec.tensor([length, channels(x)], 'gather');
  appendGather(rec, x, index, y);
  return rec.node('gather', [x], y, (dy, gradients) => {
    const dx = gradients.out(0);
    if (dx) appendScatterAdd(rec, dy, index, dx);
  });
}

/**
 * y[index[q]] += x[q] into `count` rows of zeros: x [Q, C], dense u32 index [Q] -> [count, C]; repeated indices add up,
 * indices of `count` and above are left out. torch.index_add. Deterministic; Q^2 C / 4 comparisons, so for thousands of
 * rows, not millions. Its gradient is gather.
 */
export function scatterAdd(rec: Recording, x: Tensor, index: Tensor, count: number): Tensor {
  if (indexLength('scatterAdd', index) !== rows(x)) {
    throw new ShapeError(
      `scatterAdd: '${index.label}' ${formatShape(index.shape)} must hold one index for each row of '${x.label}' ${formatShape(x.shape)}`,
    );
  }
  const y = rec.tensor([count, channels(x)], 'scatter_add');
  appendScatterAdd(rec, x, index, y);
  return rec.node('scatter_add', [x], y, (dy, gradients) => {
    const dx = gradients.out(0);
    if (dx) appendGather(rec, dy, index, dx);
  });
}

function appendGather(rec: Recording, x: Tensor, index: Tensor, y: Tensor): void {
  const count = vec4s(y);
  rec.dispatch(gatherKernel(), { x, index, y }, { count, rows: rows(x), pitch: x.pitch / 4 }, count);
}

function appendScatterAdd(rec: Recording, x: Tensor, index: Tensor, y: Tensor): void {
  const pitch = y.pitch / 4;
  rec.dispatch(fillKernel(), { y }, { count: vec4s(y), channels: channels(y), pitch, value: 0 }, vec4s(y));
  const count = vec4s(x);
  rec.dispatch(scatterAddKernel(), { x, index, y }, { count, length: channels(index), rows: rows(y), pitch }, count);
}

function indexLength(op: string, index: Tensor): number {
  if (index.dtype === 'u32' && index.shape.length === 1 && index.pitch === channels(index)) return channels(index);
  throw new ShapeError(
    `${op}: index '${index.label}' ${formatShape(index.shape)} ${index.dtype} must be dense u32 of one axis`,
  );
}
