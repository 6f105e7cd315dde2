import { classRelationKernel } from '../../shaders/contrast.wgsl.ts';
import type { Parameters } from '../nn/parameters.ts';
import { infoNce, type Keys } from '../ops/info_nce.ts';
import { l2Normalize } from '../ops/l2_normalize.ts';
import { randomWords } from '../ops/random_words.ts';
import { sumRowsInto } from '../ops/reduce.ts';
import type { Recording } from '../recording.ts';
import { rows, type Tensor } from '../tensor.ts';
import { exactPrototypes } from './prototypes.ts';
import { type FeatureLevels, type RepresentationHead, represent, representKeys } from './representation.ts';
import { drawClasses, sampleVoxels, type VoxelIndex } from './sampling.ts';

export interface ContrastOptions {
  /** Q: queries a class. */
  readonly queries: number;
  /** Queries from voxels the student is unsure of, or from all of a class. */
  readonly queryChoice: 'hard' | 'any';
  /** Negative keys of a query. */
  readonly negatives: number;
  /**
   * Where a query's negatives come from. 'per-class': classes and voxels drawn once for all queries of a class; 'per-query':
   * anew for each query (the official code); 'pool': each query draws from as many voxels of each class, drawn once.
   */
  readonly keys: 'per-class' | 'per-query' | 'pool';
  /** Classes of negatives by the relation of their prototypes (softmax of cosine / tau), or all alike. */
  readonly negativeClasses: 'related' | 'uniform';
  /**
   * Positives: 'exact', the mean representation of all voxels of a class; 'sampled', the mean of the unit representations of
   * `negatives` sampled ones.
   */
  readonly prototypes: 'exact' | 'sampled';
  /** tau_an, of the contrast and of the choice of classes. */
  readonly tau: number;
}

/** Random words that one contrast draws from, dense u32. */
export interface ContrastDraws {
  /** [C * queries] */
  readonly queries: Tensor;
  /** [C * negatives]: voxels of the pool; used with keys 'pool' or prototypes 'sampled'. */
  readonly pool: Tensor;
  /** [rows * negatives, 2], rows C with keys 'per-class', else C * queries: class and voxel of each negative. */
  readonly negatives: Tensor;
}

/** Streams that drawContrast takes, from the given one on. */
export const CONTRAST_STREAMS = 3;

/** Fresh draws for every replay; `counters` dense u32 [seed, step]. */
export function drawContrast(
  rec: Recording,
  counters: Tensor,
  stream: number,
  classes: number,
  { queries, negatives, keys }: ContrastOptions,
): ContrastDraws {
  const draws = (offset: number, shape: number[]) => randomWords(rec, counters, stream + offset, shape);
  return {
    queries: draws(0, [classes * queries]),
    pool: draws(1, [classes * negatives]),
    negatives: draws(2, [classes * (keys === 'per-class' ? 1 : queries) * negatives, 2]),
  };
}

/**
 * L_anco (method.md 4.8): every present class pulls its hard queries to its prototype and away from keys of the other present
 * classes. Divided by the number of present classes; 0 with fewer than two, and nothing from a class without hard voxels.
 * Gradient through the queries only. Returns [1].
 *
 * @param index of the voxels of all student passes, in the order of the passes in `levels`
 */
export function anatomicalContrast(
  rec: Recording,
  head: RepresentationHead,
  parameters: Parameters,
  levels: FeatureLevels,
  index: VoxelIndex,
  draws: ContrastDraws,
  options: ContrastOptions,
): Tensor {
  const { queries, negatives, tau } = options;
  const { classes } = index;
  const valid = (words: Tensor) =>
    sampleVoxels(rec, index, 'valid', classes * negatives, { perClass: negatives }, { words });
  const keysAt = (points: Tensor) => representKeys(rec, head, parameters, levels, points);

  const sampled = options.prototypes === 'sampled' || options.keys === 'pool';
  const pool = sampled ? keysAt(valid(draws.pool)) : undefined;
  const means =
    options.prototypes === 'exact'
      ? exactPrototypes(rec, head, parameters, levels, index)
      : classMeansOf(rec, pool as Tensor, classes);
  const prototypes = rec.noGrad(() => l2Normalize(rec, means));
  const { cdf, weights } = classRelation(rec, prototypes, index, options);

  const which = options.queryChoice === 'hard' ? 'hard' : 'valid';
  const at = sampleVoxels(rec, index, which, classes * queries, { perClass: queries }, { words: draws.queries });
  const unit = l2Normalize(rec, represent(rec, head, parameters, levels, at));
  return infoNce(rec, unit, prototypes, weights, negatives, tau, negativeKeys());

  function negativeKeys(): Keys {
    const perRow = options.keys === 'per-class' ? negatives : queries * negatives;
    const drawn = classes * perRow;
    if (options.keys === 'pool') {
      return {
        plan: 'indexed',
        keys: pool as Tensor,
        index: drawClasses(rec, cdf, drawn, perRow, draws.negatives, negatives),
      };
    }
    const chosen = drawClasses(rec, cdf, drawn, perRow, draws.negatives);
    const words = { words: draws.negatives, stride: 2, at: 1 };
    const points = sampleVoxels(rec, index, 'valid', drawn, { chosen }, words);
    if (options.keys === 'per-class') return { plan: 'shared', keys: keysAt(points) };
    return {
      plan: 'own',
      perPart: QUERIES_AT_ONCE,
      keys(first, count) {
        const length = count * negatives;
        return keysAt({ ...points, shape: [length], pitch: length, offset: points.offset + first * negatives * 4 });
      },
    };
  }
}

/** Queries whose own keys are held at once; views of their points start on multiples of 64. */
const QUERIES_AT_ONCE = 64;

/** Mean of the rows of each class, [C * n, d] -> [C, d]. */
function classMeansOf(rec: Recording, keys: Tensor, classes: number): Tensor {
  const means = rec.tensor([classes, keys.shape[1]], 'sampled_prototypes');
  return sumRowsInto(rec, keys, means, { groups: classes, factor: classes / rows(keys) });
}

/** Cumulative shares of the classes of negatives, dense f32 [C, C], and the weight of a query of each class, dense f32 [C]. */
export function classRelation(
  rec: Recording,
  prototypes: Tensor,
  { totals, classes }: Pick<VoxelIndex, 'totals' | 'classes'>,
  {
    queries,
    queryChoice,
    negativeClasses,
    tau,
  }: Pick<ContrastOptions, 'queries' | 'queryChoice' | 'negativeClasses' | 'tau'>,
): { cdf: Tensor; weights: Tensor } {
  const cdf = rec.tensor([classes, classes], 'class_cdf', { dense: true });
  const weights = rec.tensor([classes], 'query_weights', { dense: true });
  rec.dispatch(
    classRelationKernel(classes, negativeClasses === 'related', queryChoice === 'hard'),
    { prototypes, totals, cdf, weights },
    { pitch: prototypes.pitch / 4, queries, tau },
    classes,
  );
  return { cdf, weights };
}
