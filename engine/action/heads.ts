import { UsageError } from '../errors.ts';
import { uniform } from '../nn/init.ts';
import type { ParameterSpec } from '../nn/parameter_layout.ts';
import type { Parameters } from '../nn/parameters.ts';
import { leakyRelu } from '../ops/activation.ts';
import { avgPool3d } from '../ops/avg_pool3d.ts';
import { linear } from '../ops/matmul.ts';
import { softmax } from '../ops/softmax.ts';
import { windowCounts, windows } from '../ops/windows.ts';
import type { Recording } from '../recording.ts';
import { formatShape, product, type Triple, triple } from '../shape.ts';
import { type Tensor, volumeShape } from '../tensor.ts';
import type { GlobalOptions, LocalOptions } from './options.ts';

/**
 * What turns an output of the network into what the distillation compares: N vectors of length D a sample. The projector
 * belongs to student and teacher, the predictor to the student alone.
 */
export interface DistillationHead {
  readonly projector: readonly ParameterSpec[];
  readonly predictor: readonly ParameterSpec[];
  /** [N, D] of a key. */
  readonly shape: readonly [number, number];
  /** Projections [B, N, D]: the teacher's keys. */
  keys(rec: Recording, projector: Parameters, x: Tensor): Tensor;
  /** Predictions from the projections [B, N, D]: the student's queries. */
  queries(rec: Recording, projector: Parameters, predictor: Parameters, x: Tensor): Tensor;
}

/** Slope of the leaky ReLU between the two layers of an MLP. */
const SLOPE = 0.01;

/**
 * Global head `global_head`, predictor `global_predictor` (method.md 2.2): the bottleneck pooled to a grid of bins, flattened,
 * MLP to hidden to d, MLP d to hidden to d. N is 1. Pooling averages floor(extent / bins) cells along each axis, at least one.
 *
 * @param cells extents [z, y, x] of the bottleneck
 */
export function globalHead(options: GlobalOptions, cells: Triple, channels: number): DistillationHead {
  const bins = triple(options.bins);
  const along = (a: 0 | 1 | 2) => Math.max(1, Math.floor(cells[a] / bins[a]));
  const pool: Triple = [along(0), along(1), along(2)];
  const grid = pool.map((size, a) => Math.floor(cells[a] / size)) as unknown as Triple;
  const { hidden, d } = options;
  const projector = mlp('global_head', product(grid) * channels, hidden, d);
  const predictor = mlp('global_predictor', d, hidden, d);
  const keys = (rec: Recording, parameters: Parameters, bottleneck: Tensor) =>
    projector.forward(rec, parameters, windows(rec, avgPool3d(rec, bottleneck, pool), grid, 1));
  return {
    projector: projector.specs,
    predictor: predictor.specs,
    shape: [1, d],
    keys,
    queries: (rec, own, further, x) => predictor.forward(rec, further, keys(rec, own, x)),
  };
}

/**
 * Local head `local_head`, predictor `local_predictor` (method.md 3 and 9.1.5): the class probabilities or logits pooled to cells,
 * pointwise MLP C to 2C to C, for the student pointwise MLP C to C to C, then windows of cells as N = windows vectors of
 * D = cells C. Equal to pooling and projecting every window by itself. Errors: UsageError when no window fits the patch.
 *
 * @param patch extents [z, y, x] of the logits
 */
export function localHead(options: LocalOptions, patch: Triple, classes: number): DistillationHead {
  const [pool, size, stride] = [triple(options.pool), triple(options.window), triple(options.stride)];
  const cells = patch.map((extent, a) => Math.floor(extent / pool[a])) as unknown as Triple;
  const counts = windowCounts(cells, size, stride);
  if (product(counts) === 0) {
    const needed = size.map((n, a) => n * pool[a]);
    throw new UsageError(
      `a patch of ${formatShape(patch)} is smaller than one window of the local distillation, ${formatShape(needed)} voxels (local.window ${formatShape(size)} cells of local.pool ${formatShape(pool)} voxels, z y x); use a larger patch, a smaller local.window or local.pool, or local.weight 0`,
    );
  }
  const projector = mlp('local_head', classes, 2 * classes, classes);
  const predictor = mlp('local_predictor', classes, classes, classes);
  const project = (rec: Recording, parameters: Parameters, logits: Tensor) => {
    const [, depth, height, width] = volumeShape(logits, 'local head');
    if (depth !== patch[0] || height !== patch[1] || width !== patch[2]) {
      throw new UsageError(
        `the local head was made for patches of ${formatShape(patch)} but got ${formatShape([depth, height, width])}; make it for this patch`,
      );
    }
    const values = options.input === 'probabilities' ? softmax(rec, logits) : logits;
    return projector.forward(rec, parameters, avgPool3d(rec, values, pool));
  };
  return {
    projector: projector.specs,
    predictor: predictor.specs,
    shape: [product(counts), product(size) * classes],
    keys: (rec, own, logits) => windows(rec, project(rec, own, logits), size, stride),
    queries: (rec, own, further, logits) =>
      windows(rec, predictor.forward(rec, further, project(rec, own, logits)), size, stride),
  };
}

/** Linear, leaky ReLU, linear over the last axis; `<name>.0` and `<name>.2` as in PyTorch's Sequential, and drawn like its layers. */
export function mlp(name: string, inputs: number, hidden: number, outputs: number) {
  const layer = (index: number, from: number, to: number): ParameterSpec[] => {
    const init = uniform(1 / Math.sqrt(from));
    return [
      { name: `${name}.${index}.weight`, shape: [from, to], init },
      { name: `${name}.${index}.bias`, shape: [to], init },
    ];
  };
  const apply = (rec: Recording, parameters: Parameters, index: number, x: Tensor) =>
    linear(rec, x, parameters.get(`${name}.${index}.weight`), parameters.get(`${name}.${index}.bias`));
  return {
    specs: [...layer(0, inputs, hidden), ...layer(2, hidden, outputs)],
    forward: (rec: Recording, parameters: Parameters, x: Tensor) =>
      apply(rec, parameters, 2, leakyRelu(rec, apply(rec, parameters, 0, x), SLOPE)),
  };
}
