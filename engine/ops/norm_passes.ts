import {
  APPLY_VOXELS,
  type NormForm,
  normApplyKernel,
  normFinaliseKernel,
  normMergeKernel,
  normPartialKernel,
} from '../../shaders/norm.wgsl.ts';
import { NORM_FINISH_LANES, normFinishKernel, normGradFinishKernel } from '../../shaders/norm_finish.wgsl.ts';
import {
  normGradAffineKernel,
  normGradApplyKernel,
  normGradFinaliseKernel,
  normGradMergeKernel,
  normGradPartialKernel,
} from '../../shaders/norm_grad.wgsl.ts';
import { ShapeError } from '../errors.ts';
import type { Kernel } from '../kernel.ts';
import type { Recording } from '../recording.ts';
import { ceilDiv, formatShape, powerOfTwo, product } from '../shape.ts';
import { channels, type Tensor, vec4s } from '../tensor.ts';
import { chunkPass, type Extents, extents, FAN } from './norm_extents.ts';

/** An activation computed in the same pass as the norm in front of it. */
export type FusedActivation = { kind: 'leaky_relu'; slope: number } | { kind: 'gelu' };

/** Mean, sum of squared deviations and count of each sample and channel: [samples, {mean, M2, count}, C]. */
export function momentsOf(rec: Recording, op: string, x: Tensor, e: Extents): Tensor {
  const { moments, chunks } = chunkMoments(rec, op, x, e);
  return merged(rec, normMergeKernel(), moments, { ...e, chunks }, 3);
}

/** The same of each chunk of voxels, [samples, chunks, 3, C]: what the kernel that wrote x left, else a pass over x. */
function chunkMoments(rec: Recording, op: string, x: Tensor, e: Extents): { moments: Tensor; chunks: number } {
  if (e.voxels * e.size < 2) {
    throw new ShapeError(
      `${op}: '${x.label}' ${formatShape(x.shape)} has one value for each mean and variance; use a larger patch, fewer levels or more samples`,
    );
  }
  const noted = rec.momentsOf(x);
  if (noted) return { moments: noted, chunks: noted.shape[0] / (3 * e.samples) };
  const moments = rec.tensor([e.samples * e.chunks * 3, e.channels], `${op}.moments`);
  const { params, work } = chunkPass(e);
  rec.dispatch(normPartialKernel({ trees: e.trees }), { x, moments }, params, work);
  return { moments, chunks: e.chunks };
}

/** y [N, ..., C] = the sum of `parts` equal parts that lie one after the other; notes the moments of y's chunks. */
export function sumWithMoments(rec: Recording, partial: Tensor, y: Tensor, parts: number): void {
  const e = extents(rec.device, y, y.shape[0], 1);
  const moments = rec.tensor([e.samples * e.chunks * 3, e.channels], `${y.label}.moments`);
  const { params, work } = chunkPass(e);
  const tensors = { x: partial, y, moments };
  rec.dispatch(
    normPartialKernel({ summed: true, trees: e.trees }),
    tensors,
    { ...params, parts, part_length: vec4s(y) },
    work,
  );
  rec.noteMoments(y, moments);
}

/** Whether one dispatch with workgroup memory merges all chunks: not on CPUs, whose barriers are slow, and not for groups. */
const inOneDispatch = (e: Extents) => e.trees && e.size === 1;

/** Mean and 1 / sqrt(variance + eps) of each sample and channel of x: [samples, 2, C]. */
export function statisticsOf(rec: Recording, op: string, x: Tensor, e: Extents, eps = 1e-5): Tensor {
  if (!inOneDispatch(e)) return finalised(rec, op, momentsOf(rec, op, x, e), e, eps);
  const stats = rec.tensor([e.samples * 2, e.channels], `${op}.stats`);
  const { moments, chunks } = chunkMoments(rec, op, x, e);
  const params = { pitch: e.pitch, chunks, channels: e.channels, eps };
  rec.dispatch(normFinishKernel(), { moments, stats }, params, [e.pitch, e.samples, 1]);
  return stats;
}

/** The same from moments. */
export function finalised(rec: Recording, op: string, moments: Tensor, e: Extents, eps = 1e-5): Tensor {
  const stats = rec.tensor([e.samples * 2, e.channels], `${op}.stats`);
  const params = { ...scalarParams(e), eps };
  rec.dispatch(normFinaliseKernel(), { moments, stats }, params, params.count);
  return stats;
}

/** For kernels that own one channel an invocation. */
const scalarParams = ({ samples, pitch, channels, size }: Extents) => ({
  count: samples * 4 * pitch,
  pitch: 4 * pitch,
  channels,
  size,
});

/** Merges the chunks of [samples, chunks, quantities, C] until one is left. */
function merged(rec: Recording, k: Kernel, partial: Tensor, e: Extents, quantities: number): Tensor {
  let x = partial;
  for (let chunks = e.chunks; chunks > 1; ) {
    const into = ceilDiv(chunks, FAN);
    const y = rec.tensor([e.samples * into * quantities, e.channels], `${partial.label}.${into}`);
    const count = e.samples * into * e.pitch;
    rec.dispatch(k, { x, y }, { count, pitch: e.pitch, chunks, merged: into, fan: FAN }, count);
    x = y;
    chunks = into;
  }
  return x;
}

export interface Normalisation {
  gamma?: Tensor;
  beta?: Tensor;
  activation?: FusedActivation;
  /** The statistics do not depend on x. */
  constant?: boolean;
}

/** f(gamma (x - mean) rstd + beta); backward differentiates through the statistics unless they are constant. */
export function normalised(
  rec: Recording,
  op: string,
  x: Tensor,
  e: Extents,
  stats: Tensor,
  { gamma, beta, activation, constant = false }: Normalisation,
): Tensor {
  const affine = { ...(gamma && { gamma }), ...(beta && { beta }) };
  assertPerChannel(op, x, affine);
  const form: NormForm = { gamma: !!gamma, beta: !!beta, activation: activation?.kind ?? 'none' };
  const slope = activation?.kind === 'leaky_relu' ? activation.slope : 0;
  const lanes = ceilDiv(e.voxels, APPLY_VOXELS);
  const whole = { count: e.samples * lanes * e.pitch, voxels: e.voxels, lanes, pitch: e.pitch, slope };

  const y = rec.like(x, op);
  const apply = () => rec.dispatch(normApplyKernel(form), { x, stats, y, ...affine }, whole, whole.count);
  // On a GPU a convolution may apply the norm while it reads x; on CPUs that costs more than the pass over memory it saves.
  const spared = !rec.device.software && form.activation === 'leaky_relu' && e.samples === x.shape[0];
  const normed = spared && gamma && beta ? { x, stats, gamma, beta, slope } : undefined;
  if (normed) rec.defer(y, normed, apply);
  else apply();

  return rec.node(op, [x, ...Object.values(affine)], y, (dy, gradients) => {
    const dx = gradients.out(0);
    const dgamma = gamma && gradients.out(1);
    const dbeta = beta && gradients.out(gamma ? 2 : 1);
    const through = dx && !constant;
    const coefficients = rec.tensor([e.samples * 2, e.channels], `${op}.coefficients`);

    if (through || dgamma || dbeta) {
      const partial = rec.tensor([e.samples * e.chunks * 2, e.channels], `${op}.sums`);
      const { params, work } = chunkPass(e);
      const tensors = { x, stats, dy, sums: partial, ...affine };
      rec.dispatch(normGradPartialKernel(form, { trees: e.trees }), tensors, { ...params, slope }, work);
      finishGradients(rec, e, {
        sums: partial,
        stats,
        gamma,
        dgamma,
        dbeta,
        coefficients: through ? coefficients : undefined,
      });
    }
    if (dx) {
      const tensors = { x, stats, dy, dx, ...affine, ...(through && { coefficients }) };
      rec.dispatch(normGradApplyKernel(form, constant), tensors, whole, whole.count);
    }
  });
}

interface GradientTensors {
  /** [samples, chunks, {g, g n}, C] */
  readonly sums: Tensor;
  readonly stats: Tensor;
  readonly gamma?: Tensor;
  /** What is wanted. */
  readonly dgamma?: Tensor;
  readonly dbeta?: Tensor;
  readonly coefficients?: Tensor;
}

/** The sums over all voxels, and what follows from them: gradients of gamma and beta, coefficients for dx. */
function finishGradients(rec: Recording, e: Extents, tensors: GradientTensors): void {
  const { sums: partial, stats, gamma, dgamma, dbeta, coefficients } = tensors;
  const { samples, voxels, chunks, pitch } = e;
  const scaled = { stats, ...(coefficients && { coefficients }), ...(coefficients && gamma && { gamma }) };
  if (inOneDispatch(e) && samples <= NORM_FINISH_LANES) {
    const form = { coefficients: !!coefficients, gamma: !!gamma, dgamma: !!dgamma, dbeta: !!dbeta };
    const bound = { sums: partial, ...scaled, ...(dgamma && { dgamma }), ...(dbeta && { dbeta }) };
    const width = powerOfTwo(samples);
    rec.dispatch(normGradFinishKernel(form), bound, { pitch, chunks, samples, voxels, width }, [pitch, 1, 1]);
    return;
  }
  const sums = merged(rec, normGradMergeKernel(), partial, e, 2);
  const sumOver = (row: number, gradient: Tensor) =>
    rec.dispatch(normGradAffineKernel(), { sums, gradient }, { pitch, samples, row }, pitch);
  if (dbeta) sumOver(0, dbeta);
  if (dgamma) sumOver(1, dgamma);
  if (!coefficients) return;
  const params = { ...scalarParams(e), voxels };
  rec.dispatch(normGradFinaliseKernel(!!gamma), { sums, ...scaled }, params, params.count);
}

export function assertPerChannel(op: string, x: Tensor, vectors: Record<string, Tensor>): void {
  for (const [name, t] of Object.entries(vectors)) {
    if (product(t.shape) === channels(x) && channels(t) === channels(x)) continue;
    throw new ShapeError(
      `${op}: ${name} ${formatShape(t.shape)} must be [${channels(x)}], as '${x.label}' has ${formatShape(x.shape)}`,
    );
  }
}
