import { controlShape } from '../../engine/ops/warp.ts';
import type { Stream } from '../../engine/random.ts';
import { product, type Triple } from '../../engine/shape.ts';

/** How patches are turned and deformed; part of a run's configuration. Triples are [z, y, x]. */
export interface SpatialAugmentation {
  /** Probability of rotating and scaling. */
  readonly probability: number;
  /** Largest rotation about each axis, in degrees either way, uniform. Angles are those of space (mm), not of voxels. */
  readonly rotation: Triple;
  /** Largest relative change of size either way, uniform, the same for all axes. */
  readonly scale: number;
  /** Axes that are mirrored with probability 1/2. */
  readonly flip: readonly [boolean, boolean, boolean];
  /** Elastic deformation; null leaves it out of the kernel. */
  readonly elastic: ElasticAugmentation | null;
}

export interface ElasticAugmentation {
  readonly probability: number;
  /** Voxels between control points. */
  readonly spacing: Triple;
  /**
   * Standard deviation of a control point along each axis, in voxels of the finest axis. A quarter of the spacing bends
   * strongly; displacements beyond 0.4 of it can fold (Choi and Lee 2000).
   */
  readonly amplitude: number;
}

/** Control points are cut off at so many standard deviations, which bounds what a patch can read. */
const ELASTIC_LIMIT = 3;

/** What is drawn for a patch, but for its place. */
export interface PatchTransform {
  /** M of q = M (v - (patch - 1) / 2) + centre, row-major, in voxels. */
  readonly matrix: readonly number[];
  /** Displacements [gz][gy][gx][4] in voxels (z, y, x, 0), as the device stores them; null without deformation. */
  readonly control: Float32Array<ArrayBuffer> | null;
}

/** Draws a transform for a patch of voxels of `spacing` mm. How many numbers it takes depends on what it draws. */
export function drawTransform(
  stream: Stream,
  { probability, rotation, scale, flip, elastic }: SpatialAugmentation,
  patch: Triple,
  spacing: Triple,
): PatchTransform {
  let matrix = [1, 0, 0, 0, 1, 0, 0, 0, 1];
  if (stream.uniform() < probability) {
    const angles = rotation.map((degrees) => (stream.uniform(-degrees, degrees) * Math.PI) / 180);
    const size = 1 + stream.uniform(-scale, scale);
    matrix = inVoxels(rotationMatrix(angles), spacing).map((v) => v * size);
  }
  const mirror = flip.map((on) => (on && stream.uniform() < 0.5 ? -1 : 1));
  return {
    matrix: matrix.map((v, i) => v * mirror[i % 3]),
    control: elastic && stream.uniform() < elastic.probability ? drawControl(stream, elastic, patch, spacing) : null,
  };
}

function drawControl(
  stream: Stream,
  elastic: ElasticAugmentation,
  patch: Triple,
  spacing: Triple,
): Float32Array<ArrayBuffer> {
  const sd = elasticDeviation(elastic, spacing);
  const control = new Float32Array(4 * product(controlShape(patch, elastic.spacing)));
  for (let i = 0; i < control.length; i++) {
    if (i % 4 < 3) control[i] = sd[i % 4] * Math.min(Math.max(stream.normal(), -ELASTIC_LIMIT), ELASTIC_LIMIT);
  }
  return control;
}

/** Standard deviation of the control points along each axis, in voxels of that axis. */
function elasticDeviation({ amplitude }: ElasticAugmentation, spacing: Triple): number[] {
  return spacing.map((mm) => (amplitude * Math.min(...spacing)) / mm);
}

/** R_z R_y R_x, each about the axis of its place in [z, y, x]. */
function rotationMatrix([a, b, c]: readonly number[]): number[] {
  const z = [1, 0, 0, 0, Math.cos(a), -Math.sin(a), 0, Math.sin(a), Math.cos(a)];
  const y = [Math.cos(b), 0, Math.sin(b), 0, 1, 0, -Math.sin(b), 0, Math.cos(b)];
  const x = [Math.cos(c), -Math.sin(c), 0, Math.sin(c), Math.cos(c), 0, 0, 0, 1];
  return multiply(multiply(z, y), x);
}

function multiply(a: readonly number[], b: readonly number[]): number[] {
  return a.map((_, i) => {
    const row = 3 * Math.floor(i / 3);
    return a[row] * b[i % 3] + a[row + 1] * b[(i % 3) + 3] + a[row + 2] * b[(i % 3) + 6];
  });
}

/** A matrix on millimetres as one on voxels. */
function inVoxels(matrix: readonly number[], spacing: Triple): number[] {
  return matrix.map((v, i) => (v * spacing[i % 3]) / spacing[Math.floor(i / 3)]);
}

/** How far apart along each axis, in voxels, two positions read by one patch can lie, whatever is drawn. */
export function largestReach(augmentation: SpatialAugmentation, patch: Triple, spacing: Triple): number[] {
  const { rotation, scale, probability, elastic } = augmentation;
  const length = Math.hypot(...patch.map((n, axis) => (n - 1) * spacing[axis]));
  const sines = rotation.map((degrees) => Math.sin((Math.min(Math.abs(degrees), 90) * Math.PI) / 180));
  const [a, b, c] = sines;
  // Entry by entry the product of the rotations' bounds, a cosine being at most 1.
  const bound = multiply(multiply([1, 0, 0, 0, 1, a, 0, a, 1], [1, 0, b, 0, 1, 0, b, 0, 1]), [
    1,
    c,
    0,
    c,
    1,
    0,
    0,
    0,
    1,
  ]);
  const entries = inVoxels(bound, spacing);
  const sd = elastic ? elasticDeviation(elastic, spacing) : [0, 0, 0];
  return patch.map((n, row) => {
    const byEntry = patch.reduce((sum, m, column) => sum + entries[3 * row + column] * (m - 1), 0);
    const turned = Math.min(byEntry, length / spacing[row]) * (1 + scale);
    return (probability > 0 ? Math.max(turned, n - 1) : n - 1) + 2 * ELASTIC_LIMIT * sd[row];
  });
}
