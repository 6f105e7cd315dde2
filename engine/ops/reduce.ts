import { rowSumsKernel, type Spread, spreadKernel } from '../../shaders/reduce.wgsl.ts';
import type { Device } from '../device.ts';
import { ShapeError } from '../errors.ts';
import type { Recording } from '../recording.ts';
import { ceilDiv, formatShape, product } from '../shape.ts';
import { channels, rows, type Tensor, vec4s } from '../tensor.ts';
import { LAST_ROWS, reduceRows } from './reduce_rows.ts';

/** Sum over all rows: [..., C] -> [C]. torch.sum over all axes but the last. */
export function columnSums(rec: Recording, x: Tensor): Tensor {
  return columns(rec, 'column_sums', x, [channels(x)], 1);
}

/** Mean over all rows: [..., C] -> [C]. */
export function columnMeans(rec: Recording, x: Tensor): Tensor {
  return columns(rec, 'column_means', x, [channels(x)], 1 / rows(x));
}

/** Mean over the voxels of each sample: [N, ..., C] -> [N, C]. Global average pooling, torch.mean over the spatial axes. */
export function sampleMeans(rec: Recording, x: Tensor): Tensor {
  if (x.shape.length < 3) {
    throw new ShapeError(`sampleMeans: '${x.label}' ${formatShape(x.shape)} has no axis between samples and channels`);
  }
  return columns(rec, 'sample_means', x, [x.shape[0], channels(x)], x.shape[0] / rows(x));
}

/** Sum along the last axis, kept: [..., C] -> [..., 1]. torch.sum(x, -1, keepdim=True). */
export function rowSums(rec: Recording, x: Tensor): Tensor {
  const y = rec.tensor([...x.shape.slice(0, -1), 1], 'row_sums');
  rec.dispatch(rowSumsKernel(), { x, y }, { count: rows(x), pitch: x.pitch / 4, factor: 1 }, rows(x));
  return rec.node('row_sums', [x], y, (dy, gradients) => spread(rec, 'rows', dy, gradients.out(0), 1, 1));
}

/** Sum of everything -> [1]. */
export function sum(rec: Recording, x: Tensor): Tensor {
  return total(rec, 'sum', x, 1);
}

/** Mean of everything -> [1]. */
export function mean(rec: Recording, x: Tensor): Tensor {
  return total(rec, 'mean', x, 1 / product(x.shape));
}

/** Where sums go without a node on the tape: what losses, norms and gradients add their partial results up with. */
export interface SumOptions {
  /** The rows of x are this many groups, one after another; y has a row for each. Default 1. */
  groups?: number;
  /** Multiplies the sums. Default 1. */
  factor?: number;
}

/** y = factor * the sum of the rows of each group of x, [groups * rows, C] -> y, `groups` rows of x's pitch. */
export function sumRowsInto(rec: Recording, x: Tensor, y: Tensor, { groups = 1, factor = 1 }: SumOptions = {}): Tensor {
  return reduceRows(rec, x, y, { count: rows(x) / groups, groups, pitch: x.pitch / 4, factor, total: false });
}

/** y [1] = factor * the sum of everything in x. Relies on zero padding. */
export function sumAllInto(rec: Recording, x: Tensor, y: Tensor, factor = 1): Tensor {
  return reduceRows(rec, x, y, { count: vec4s(x), groups: 1, pitch: 1, factor, total: true });
}

/** Invocations that sum up rows of a loss where there are fewer than 32 times as many. */
const FEWEST_LANES = { software: LAST_ROWS, hardware: 16384 };

/** How many invocations sum up `count` rows of a loss, each a bounded number of them, enough of them to fill the adapter. */
export function lanesOf({ software }: Pick<Device, 'software'>, count: number): number {
  return Math.min(count, Math.max(FEWEST_LANES[software ? 'software' : 'hardware'], ceilDiv(count, 32)));
}

function columns(rec: Recording, name: string, x: Tensor, shape: readonly number[], factor: number): Tensor {
  const y = rec.tensor(shape, name);
  sumRowsInto(rec, x, y, { groups: rows(y), factor });
  return rec.node(name, [x], y, (dy, gradients) => spread(rec, 'columns', dy, gradients.out(0), rows(y), factor));
}

function total(rec: Recording, name: string, x: Tensor, factor: number): Tensor {
  const y = sumAllInto(rec, x, rec.tensor([1], name), factor);
  return rec.node(name, [x], y, (dy, gradients) => spread(rec, 'total', dy, gradients.out(0), 1, factor));
}

function spread(
  rec: Recording,
  kind: Spread,
  dy: Tensor,
  dx: Tensor | undefined,
  groups: number,
  factor: number,
): void {
  if (!dx) return;
  const count = vec4s(dx);
  rec.dispatch(
    spreadKernel(kind),
    { v: dy, y: dx },
    { count, rows: rows(dx) / groups, channels: channels(dx), pitch: dx.pitch / 4, factor },
    count,
  );
}
