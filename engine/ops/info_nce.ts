import {
  contrastLogitsKernel,
  contrastLossKernel,
  contrastSharesKernel,
  contrastSlopeKernel,
  slopeOfSumsKernel,
} from '../../shaders/contrast.wgsl.ts';
import { scaleByKernel } from '../../shaders/elementwise.wgsl.ts';
import { ShapeError } from '../errors.ts';
import type { Kernel } from '../kernel.ts';
import type { Recording } from '../recording.ts';
import { formatShape, roundUp } from '../shape.ts';
import { channels, rows, type Tensor, vec4s } from '../tensor.ts';
import { scale } from './elementwise.ts';
import { matmulInto } from './matmul.ts';
import { sumAllInto } from './reduce.ts';

/** Negative keys [rows, d] of unit length and which of them each query meets. */
export type Keys =
  /** All queries of class c meet rows c * negatives.. of them. */
  | { readonly plan: 'shared'; readonly keys: Tensor }
  /** Query q meets rows index[q * negatives..], dense u32 [queries * negatives]; 0xffffffff is no key. */
  | { readonly plan: 'indexed'; readonly keys: Tensor; readonly index: Tensor }
  /** Every query has rows of its own, made for some queries at a time: those of queries first..first + count - 1. */
  | { readonly plan: 'own'; readonly perPart: number; readonly keys: (first: number, count: number) => Tensor };

/**
 * InfoNCE (van den Oord et al. 2018) over unit vectors, the anatomical contrast of method.md 4.8:
 * sum over queries of weight * -log [ e^(q.mu/tau) / (e^(q.mu/tau) + sum over negatives of e^(q.k/tau)) ]. Query i belongs to class
 * i / perClass with classes = queries / perClass. Gradient to the queries only; its direction is kept from the forward pass.
 *
 * @param queries [classes * perClass, d]
 * @param prototypes [classes, d], the positives
 * @param weights dense f32 [classes]; a class of weight 0 counts nothing, whatever its rows hold
 * @returns [1]
 */
export function infoNce(
  rec: Recording,
  queries: Tensor,
  prototypes: Tensor,
  weights: Tensor,
  negatives: number,
  tau: number,
  keys: Keys,
): Tensor {
  const count = rows(queries);
  const classes = rows(prototypes);
  if (channels(queries) !== channels(prototypes) || count % classes !== 0) {
    throw new ShapeError(
      `infoNce: '${queries.label}' ${formatShape(queries.shape)} must be as many rows for each of '${prototypes.label}' ${formatShape(prototypes.shape)}, as long`,
    );
  }
  const out: Outputs = {
    losses: rec.tensor([count, 1], 'contrast_losses'),
    normaliser: rec.tensor([count, 2], 'contrast_normaliser', { dense: true }),
    slope: rec.like(queries, 'contrast_slope'),
  };
  const inputs = { queries, prototypes, weights };
  if (keys.plan === 'shared' && aligned(queries, count / classes) && aligned(keys.keys, negatives)) {
    rec.noGrad(() => matmulForward(rec, inputs, keys.keys, negatives, tau, out));
  } else {
    kernelForward(rec, inputs, keys, negatives, tau, out);
  }
  const { losses, slope } = out;
  const loss = sumAllInto(rec, losses, rec.tensor([1], 'info_nce'));
  return rec.node('info_nce', [queries], loss, (dy, gradients) => {
    const dx = gradients.out(0);
    if (dx) rec.dispatch(scaleByKernel(), { x: slope, scalars: dy, y: dx }, { count: vec4s(dx), index: 0 }, vec4s(dx));
  });
}

interface Inputs {
  readonly queries: Tensor;
  readonly prototypes: Tensor;
  readonly weights: Tensor;
}

/** What the forward pass leaves: losses [count, 1], normaliser dense [count, 2], slope like the queries. */
interface Outputs {
  readonly losses: Tensor;
  readonly normaliser: Tensor;
  readonly slope: Tensor;
}

/** Every plan: similarities and slopes by kernels that look each key up. */
function kernelForward(rec: Recording, inputs: Inputs, keys: Keys, negatives: number, tau: number, out: Outputs): void {
  const { queries, prototypes, weights } = inputs;
  const { losses, normaliser, slope } = out;
  const count = rows(queries);
  const pitch = queries.pitch / 4;
  const perPart = keys.plan === 'own' ? keys.perPart : count;
  for (let first = 0; first < count; first += perPart) {
    const part = Math.min(perPart, count - first);
    const used = keys.plan === 'own' ? keys.keys(first, part) : keys.keys;
    const named: Record<string, Tensor> = keys.plan === 'indexed' ? { indices: keys.index } : {};
    const logits = rec.tensor([part, negatives], 'contrast_logits');
    const units = logits.pitch / 4;
    const params = { first, per_class: count / rows(prototypes), negatives, units, pitch, tau };
    const dispatch = (kernel: Kernel, tensors: Record<string, Tensor>, work: number) =>
      rec.dispatch(kernel, tensors, { ...params, count: work }, work);
    dispatch(contrastLogitsKernel(keys.plan), { queries, keys: used, y: logits, ...named }, part * units);
    dispatch(contrastLossKernel(), { queries, prototypes, logits, weights, losses, normaliser }, part);
    const slopeInputs = { prototypes, keys: used, logits, weights, normaliser, y: slope, ...named };
    dispatch(contrastSlopeKernel(keys.plan), slopeInputs, part * pitch);
  }
}

/** Keys shared by a class: similarities and slopes are matrix products of each class. */
function matmulForward(
  rec: Recording,
  { queries, prototypes, weights }: Inputs,
  keys: Tensor,
  negatives: number,
  tau: number,
  { losses, normaliser, slope }: Outputs,
): void {
  const count = rows(queries);
  const classes = rows(prototypes);
  const perClass = count / classes;
  const logits = rec.tensor([count, roundUp(negatives, 4)], 'contrast_logits');
  const units = logits.pitch / 4;
  const scaled = scale(rec, queries, 1 / tau);
  for (let c = 0; c < classes; c++) {
    const ofClass = part(keys, c, negatives);
    matmulInto(rec, part(scaled, c, perClass), ofClass, part(logits, c, perClass, negatives), { transposeB: true });
  }
  const params = { first: 0, per_class: perClass, negatives, units, pitch: queries.pitch / 4, tau };
  const tensors = { queries, prototypes, logits, weights, losses, normaliser };
  rec.dispatch(contrastLossKernel(), tensors, { ...params, count }, count);
  const cells = count * units;
  rec.dispatch(contrastSharesKernel(), { logits, normaliser }, { count: cells, units, negatives }, cells);
  const sums = rec.like(queries, 'contrast_sums');
  for (let c = 0; c < classes; c++) {
    matmulInto(rec, part(logits, c, perClass, negatives), part(keys, c, negatives), part(sums, c, perClass));
  }
  const { per_class, pitch } = params;
  const slopeParams = { count: vec4s(slope), per_class, pitch, tau };
  rec.dispatch(slopeOfSumsKernel(), { prototypes, sums, weights, normaliser, y: slope }, slopeParams, vec4s(slope));
}

/** Rows k * count.. of a matrix; of each the first `columns`. */
function part(x: Tensor, k: number, count: number, columns: number = channels(x)): Tensor {
  return { ...x, shape: [count, columns], offset: x.offset + k * count * x.pitch * 4, requiresGrad: false };
}

/** Whether views that start on multiples of `count` rows can be bound. */
function aligned(x: Tensor, count: number): boolean {
  return (count * x.pitch * 4) % 256 === 0;
}
