import { type Dense, zeros } from './dense.ts';

/**
 * What one result gathers: 'all' everything; 'last' one row along the last axis; 'channel' everything but the channel;
 * 'voxels' the voxels of one sample and channel ([N,D,H,W,C] -> [N,C]).
 */
export type Reduction = 'all' | 'last' | 'channel' | 'voxels';

/** Output shape, the result each element goes to, and how many elements share one. */
function plan(shape: readonly number[], reduction: Reduction) {
  const size = shape.reduce((a, b) => a * b, 1);
  const width = shape[shape.length - 1];
  const sample = size / shape[0];
  const plans = {
    all: { shape: [] as number[], of: () => 0 },
    last: { shape: shape.slice(0, -1), of: (i: number) => Math.floor(i / width) },
    channel: { shape: [width], of: (i: number) => i % width },
    voxels: { shape: [shape[0], width], of: (i: number) => Math.floor(i / sample) * width + (i % width) },
  };
  const chosen = plans[reduction];
  return { ...chosen, each: size / chosen.shape.reduce((a, b) => a * b, 1) };
}

export function sum(x: Dense, reduction: Reduction): Dense {
  const { shape, of } = plan(x.shape, reduction);
  const y = zeros(shape);
  for (let i = 0; i < x.data.length; i++) y.data[of(i)] += x.data[i];
  return y;
}

export function mean(x: Dense, reduction: Reduction): Dense {
  const { each } = plan(x.shape, reduction);
  const y = sum(x, reduction);
  for (let i = 0; i < y.data.length; i++) y.data[i] /= each;
  return y;
}

/** Each element takes its result's gradient. */
export function sumGrad(dy: Dense, inputShape: readonly number[], reduction: Reduction): Dense {
  const { of } = plan(inputShape, reduction);
  const dx = zeros(inputShape);
  for (let i = 0; i < dx.data.length; i++) dx.data[i] = dy.data[of(i)];
  return dx;
}

export function meanGrad(dy: Dense, inputShape: readonly number[], reduction: Reduction): Dense {
  const { each } = plan(inputShape, reduction);
  const dx = sumGrad(dy, inputShape, reduction);
  for (let i = 0; i < dx.data.length; i++) dx.data[i] /= each;
  return dx;
}
