import type { Triple } from '../../engine/shape.ts';

/**
 * Where windows start along one axis: evenly spread, the first at 0 and the last at the end, neighbours at most
 * (1 - overlap) x patch apart (nnU-Net's rule). An axis shorter than the patch gets one window that is centred on it.
 */
export function axisPositions(size: number, patch: number, overlap: number): number[] {
  if (size <= patch) return [-Math.floor((patch - size) / 2)];
  const steps = Math.ceil((size - patch) / Math.max(1, patch * (1 - overlap)) - 1e-9);
  return Array.from({ length: steps + 1 }, (_, i) => Math.round((i * (size - patch)) / steps));
}

/** All window starts [z, y, x] of a volume, z slowest. */
export function windowPositions(size: Triple, patch: Triple, overlap: number): Triple[] {
  const [zs, ys, xs] = [0, 1, 2].map((a) => axisPositions(size[a], patch[a], overlap));
  return zs.flatMap((z) => ys.flatMap((y) => xs.map((x): Triple => [z, y, x])));
}
