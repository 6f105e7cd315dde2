/**
 * Scores of one predicted label volume against its reference: overlap, surface distances and volumes, per label.
 * Overlap keys and meaning are those of nnU-Net's `summary.json`; HD95, ASD and ASSD are defined as in medpy.
 */
import type { Triple } from '../../engine/shape.ts';
import { type Box, boxShape, maskInBox, surfaceDistances } from './surface.ts';

/** `mm` uses the spacing of the volume; `voxel` counts every step as 1, as many published tables do. */
export type DistanceUnit = 'mm' | 'voxel';

/** Voxel counts of one label, under nnU-Net's names. */
export interface Overlap {
  /** 2 TP / (2 TP + FP + FN); 1 when prediction and reference are both empty. */
  Dice: number;
  /** TP / (TP + FP + FN), the Jaccard index; 1 when both are empty. */
  IoU: number;
  TP: number;
  FP: number;
  FN: number;
  TN: number;
  n_pred: number;
  n_ref: number;
}

/**
 * Distances are in the unit asked for. They are null when prediction and reference are both empty, and the diagonal of
 * the volume, which no distance can exceed, when only one of them is.
 */
export interface SurfaceScores {
  /** 95th percentile (linear interpolation) of both directed sets of surface distances pooled. */
  HD95: number | null;
  /** Mean distance from the predicted surface to the reference surface: directed, as medpy's `asd`. */
  ASD: number | null;
  /** Mean over both directed sets pooled. */
  ASSD: number | null;
}

export interface LabelScores extends Overlap, SurfaceScores {
  volume_pred_ml: number;
  volume_ref_ml: number;
}

/** Where one label lies: its voxel counts and the box around its prediction and reference (null when both are empty). */
interface LabelExtent {
  overlap: Overlap;
  box: Box | null;
}

/**
 * Scores every one of `labels`, keyed by the label as a string.
 *
 * @param prediction label of every voxel, x fastest, `shape` [z, y, x]
 * @param reference the same grid
 * @param spacing millimetres along [z, y, x]; volumes in ml always use it, distances only where `unit` is `mm`
 */
export function scoreLabels(
  prediction: ArrayLike<number>,
  reference: ArrayLike<number>,
  shape: Triple,
  spacing: Triple,
  labels: readonly number[],
  unit: DistanceUnit = 'mm',
): Record<string, LabelScores> {
  const step: Triple = unit === 'mm' ? spacing : [1, 1, 1];
  const millilitres = (spacing[0] * spacing[1] * spacing[2]) / 1000;
  const scores: Record<string, LabelScores> = {};
  locateLabels(prediction, reference, shape, labels).forEach(({ overlap, box }, i) => {
    scores[labels[i]] = {
      ...overlap,
      ...scoreSurfaces(prediction, reference, shape, step, labels[i], overlap, box),
      volume_pred_ml: overlap.n_pred * millilitres,
      volume_ref_ml: overlap.n_ref * millilitres,
    };
  });
  return scores;
}

/** Voxel counts, Dice and IoU of each of `labels`, in one pass over the two volumes. */
export function overlaps(
  prediction: ArrayLike<number>,
  reference: ArrayLike<number>,
  shape: Triple,
  labels: readonly number[],
): Overlap[] {
  return locateLabels(prediction, reference, shape, labels).map(({ overlap }) => overlap);
}

/** The `q`-th quantile (0 to 1) of ascending values, interpolated linearly: numpy.percentile's default. */
export function quantile(ascending: Float64Array, q: number): number {
  const position = q * (ascending.length - 1);
  const below = Math.floor(position);
  const above = Math.min(below + 1, ascending.length - 1);
  return ascending[below] + (ascending[above] - ascending[below]) * (position - below);
}

function locateLabels(
  prediction: ArrayLike<number>,
  reference: ArrayLike<number>,
  shape: Triple,
  labels: readonly number[],
): LabelExtent[] {
  const [nz, ny, nx] = shape;
  const slot = new Int32Array(Math.max(0, ...labels) + 1).fill(-1);
  labels.forEach((label, i) => {
    slot[label] = i;
  });
  const predicted = new Float64Array(labels.length);
  const referenced = new Float64Array(labels.length);
  const shared = new Float64Array(labels.length);
  const lo = labels.map(() => [nz, ny, nx]);
  const hi = labels.map(() => [0, 0, 0]);
  const grow = (k: number, z: number, y: number, x: number) => {
    if (z < lo[k][0]) lo[k][0] = z;
    if (z >= hi[k][0]) hi[k][0] = z + 1;
    if (y < lo[k][1]) lo[k][1] = y;
    if (y >= hi[k][1]) hi[k][1] = y + 1;
    if (x < lo[k][2]) lo[k][2] = x;
    if (x >= hi[k][2]) hi[k][2] = x + 1;
  };
  for (let z = 0, i = 0; z < nz; z++) {
    for (let y = 0; y < ny; y++) {
      for (let x = 0; x < nx; x++, i++) {
        const p = slot[prediction[i]] ?? -1;
        const r = slot[reference[i]] ?? -1;
        if (p >= 0) {
          predicted[p]++;
          grow(p, z, y, x);
        }
        if (r >= 0) {
          referenced[r]++;
          if (p === r) shared[r]++;
          else grow(r, z, y, x);
        }
      }
    }
  }
  return labels.map((_, k) => ({
    overlap: overlapFromCounts(predicted[k], referenced[k], shared[k], nz * ny * nx),
    box: predicted[k] + referenced[k] > 0 ? { lo: triple(lo[k]), hi: triple(hi[k]) } : null,
  }));
}

function overlapFromCounts(n_pred: number, n_ref: number, TP: number, voxels: number): Overlap {
  const union = n_pred + n_ref - TP;
  return {
    Dice: union > 0 ? (2 * TP) / (n_pred + n_ref) : 1,
    IoU: union > 0 ? TP / union : 1,
    TP,
    FP: n_pred - TP,
    FN: n_ref - TP,
    TN: voxels - union,
    n_pred,
    n_ref,
  };
}

function scoreSurfaces(
  prediction: ArrayLike<number>,
  reference: ArrayLike<number>,
  shape: Triple,
  step: Triple,
  label: number,
  { n_pred, n_ref }: Overlap,
  box: Box | null,
): SurfaceScores {
  if (box === null) return { HD95: null, ASD: null, ASSD: null };
  if (n_pred === 0 || n_ref === 0) {
    const worst = Math.hypot(shape[0] * step[0], shape[1] * step[1], shape[2] * step[2]);
    return { HD95: worst, ASD: worst, ASSD: worst };
  }
  const { predictionToReference, referenceToPrediction } = surfaceDistances(
    maskInBox(prediction, shape, box, label),
    maskInBox(reference, shape, box, label),
    boxShape(box),
    step,
  );
  const pooled = new Float64Array(predictionToReference.length + referenceToPrediction.length);
  pooled.set(predictionToReference);
  pooled.set(referenceToPrediction, predictionToReference.length);
  return { HD95: quantile(pooled.sort(), 0.95), ASD: mean(predictionToReference), ASSD: mean(pooled) };
}

function mean(values: Float64Array): number {
  let sum = 0;
  for (const value of values) sum += value;
  return sum / values.length;
}

function triple([z, y, x]: number[]): Triple {
  return [z, y, x];
}
