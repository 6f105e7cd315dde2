import {
  contrastLogitsKernel,
  contrastLossKernel,
  contrastSlopeKernel,
  type KeyPlan,
} from '../../shaders/contrast.wgsl.ts';
import { scaleByKernel } from '../../shaders/elementwise.wgsl.ts';
import { ShapeError } from '../errors.ts';
import type { Recording } from '../recording.ts';
import { formatShape } from '../shape.ts';
import { channels, rows, type Tensor, vec4s } from '../tensor.ts';
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
  const pitch = queries.pitch / 4;
  const losses = rec.tensor([count, 1], 'contrast_losses');
  const normaliser = rec.tensor([count, 2], 'contrast_normaliser', { dense: true });
  const slope = rec.like(queries, 'contrast_slope');
  const perPart = keys.plan === 'own' ? keys.perPart : count;
  for (let first = 0; first < count; first += perPart) {
    const part = Math.min(perPart, count - first);
    const used = keys.plan === 'own' ? keys.keys(first, part) : keys.keys;
    const inputs: Record<string, Tensor> = keys.plan === 'indexed' ? { indices: keys.index } : {};
    const logits = rec.tensor([part, negatives], 'contrast_logits');
    const units = logits.pitch / 4;
    const params = { first, per_class: count / classes, negatives, units, pitch, tau };
    const dispatch = (kernel: ReturnType<typeof contrastLossKernel>, tensors: Record<string, Tensor>, work: number) =>
      rec.dispatch(kernel, tensors, { ...params, count: work }, work);
    const plan: KeyPlan = keys.plan;
    dispatch(contrastLogitsKernel(plan), { queries, keys: used, y: logits, ...inputs }, part * units);
    dispatch(contrastLossKernel(), { queries, prototypes, logits, weights, losses, normaliser }, part);
    const slopeInputs = { prototypes, keys: used, logits, weights, normaliser, y: slope, ...inputs };
    dispatch(contrastSlopeKernel(plan), slopeInputs, part * pitch);
  }
  const loss = sumAllInto(rec, losses, rec.tensor([1], 'info_nce'));
  return rec.node('info_nce', [queries], loss, (dy, gradients) => {
    const dx = gradients.out(0);
    if (dx) rec.dispatch(scaleByKernel(), { x: slope, scalars: dy, y: dx }, { count: vec4s(dx), index: 0 }, vec4s(dx));
  });
}
