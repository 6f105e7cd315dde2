/** Where to look in a case: the region around its labels, and the slice along each axis that shows most of them. */
import type { Triple } from '../../engine/shape.ts';
import type { Region } from './slice.ts';

/** Label maps of one case on one grid; either may be missing. */
export interface Labelled {
  readonly shape: Triple;
  readonly prediction?: ArrayLike<number>;
  readonly reference?: ArrayLike<number>;
}

/** The box around all foreground, grown by half its size on every side and cut at the volume; all of it without foreground. */
export function regionOfInterest(item: Labelled): Region {
  const { shape } = item;
  const lo = [...shape];
  const hi = [0, 0, 0];
  for (const labels of [item.prediction, item.reference]) {
    if (labels)
      eachForeground(labels, shape, (_, at) => {
        for (let axis = 0; axis < 3; axis++) {
          if (at[axis] < lo[axis]) lo[axis] = at[axis];
          if (at[axis] >= hi[axis]) hi[axis] = at[axis] + 1;
        }
      });
  }
  if (hi[0] === 0) return { lo: [0, 0, 0], hi: shape };
  const grow = (axis: number) => Math.ceil((hi[axis] - lo[axis]) / 2);
  const low = (axis: number) => Math.max(0, lo[axis] - grow(axis));
  const high = (axis: number) => Math.min(shape[axis], hi[axis] + grow(axis));
  return { lo: [low(0), low(1), low(2)], hi: [high(0), high(1), high(2)] };
}

/**
 * The slice along each of [z, y, x] that shows most of the reference, or of the prediction where there is no reference
 * foreground. Every label counts by the share of itself in the slice, so that a small structure is seen too; the middle of
 * the region without any foreground.
 */
export function bestSlices(item: Labelled, { lo, hi }: Region): Triple {
  const scores = item.shape.map((extent) => new Float64Array(extent));
  for (const labels of [item.reference, item.prediction]) {
    if (!labels || scores[0].some((score) => score > 0)) continue;
    const counts = new Map<number, Float64Array[]>();
    eachForeground(labels, item.shape, (label, at) => {
      let profile = counts.get(label);
      if (!profile) {
        profile = item.shape.map((extent) => new Float64Array(extent));
        counts.set(label, profile);
      }
      for (let axis = 0; axis < 3; axis++) profile[axis][at[axis]]++;
    });
    for (const profile of counts.values()) {
      const total = profile[0].reduce((a, b) => a + b, 0);
      profile.forEach((values, axis) => {
        values.forEach((value, i) => {
          scores[axis][i] += value / total;
        });
      });
    }
  }
  const best = (axis: number) => {
    const most = Math.max(...scores[axis]);
    return most > 0 ? scores[axis].indexOf(most) : (lo[axis] + hi[axis]) >> 1;
  };
  return [best(0), best(1), best(2)];
}

function eachForeground(
  labels: ArrayLike<number>,
  [nz, ny, nx]: Triple,
  visit: (label: number, at: readonly number[]) => void,
): void {
  const at = [0, 0, 0];
  for (let z = 0, i = 0; z < nz; z++) {
    for (let y = 0; y < ny; y++) {
      for (let x = 0; x < nx; x++, i++) {
        if (!(labels[i] > 0)) continue;
        at[0] = z;
        at[1] = y;
        at[2] = x;
        visit(labels[i], at);
      }
    }
  }
}
