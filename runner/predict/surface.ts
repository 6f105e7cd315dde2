/**
 * Distances between the surfaces of two masks, as medpy and our PyTorch reference take them: a surface is the mask minus
 * its 6-connected erosion, voxels at the border of the volume included, and distances run between voxel centres.
 */
import { product, type Triple } from '../../engine/shape.ts';
import { squaredDistanceTransform } from './distance_transform.ts';

/** Voxels from `lo` up to, not including, `hi`, both [z, y, x]. */
export interface Box {
  readonly lo: Triple;
  readonly hi: Triple;
}

/** The voxels of a mask (not 0) that have a 6-neighbour outside it or outside the volume. */
export function surface(mask: Uint8Array, shape: Triple): Uint8Array {
  const [nz, ny, nx] = shape;
  const slice = nx * ny;
  const result = new Uint8Array(mask.length);
  for (let z = 0, i = 0; z < nz; z++) {
    for (let y = 0; y < ny; y++) {
      for (let x = 0; x < nx; x++, i++) {
        if (!mask[i]) continue;
        const inside =
          x > 0 &&
          x < nx - 1 &&
          y > 0 &&
          y < ny - 1 &&
          z > 0 &&
          z < nz - 1 &&
          mask[i - 1] &&
          mask[i + 1] &&
          mask[i - nx] &&
          mask[i + nx] &&
          mask[i - slice] &&
          mask[i + slice];
        if (!inside) result[i] = 1;
      }
    }
  }
  return result;
}

/** From each surface voxel of one mask to the nearest surface voxel of the other, in the unit of the spacing. */
export interface SurfaceDistances {
  readonly predictionToReference: Float64Array;
  readonly referenceToPrediction: Float64Array;
}

/**
 * Both directed sets of surface distances. Neither mask may be empty. Masks cropped to the box of their union give the
 * same distances as the whole volume, since nothing of either lies outside it.
 */
export function surfaceDistances(
  prediction: Uint8Array,
  reference: Uint8Array,
  shape: Triple,
  spacing: Triple,
): SurfaceDistances {
  const predictionSurface = surface(prediction, shape);
  const referenceSurface = surface(reference, shape);
  return {
    predictionToReference: directed(predictionSurface, referenceSurface, shape, spacing),
    referenceToPrediction: directed(referenceSurface, predictionSurface, shape, spacing),
  };
}

function directed(from: Uint8Array, to: Uint8Array, shape: Triple, spacing: Triple): Float64Array {
  const squared = squaredDistanceTransform(to, shape, spacing);
  let count = 0;
  for (let i = 0; i < from.length; i++) if (from[i]) squared[count++] = Math.sqrt(squared[i]);
  return squared.slice(0, count);
}

/** 1 where `labels` equals `label` inside the box, else 0, as a volume of the box's own shape. */
export function maskInBox(labels: ArrayLike<number>, shape: Triple, box: Box, label: number): Uint8Array {
  const [, ny, nx] = shape;
  const { lo, hi } = box;
  const mask = new Uint8Array(product(boxShape(box)));
  let i = 0;
  for (let z = lo[0]; z < hi[0]; z++) {
    for (let y = lo[1]; y < hi[1]; y++) {
      const row = (z * ny + y) * nx;
      for (let x = lo[2]; x < hi[2]; x++) mask[i++] = labels[row + x] === label ? 1 : 0;
    }
  }
  return mask;
}

/** Voxels along z, y, x of a box. */
export function boxShape({ lo, hi }: Box): [number, number, number] {
  return [hi[0] - lo[0], hi[1] - lo[1], hi[2] - lo[2]];
}
