import type { Triple } from '../../engine/shape.ts';

/** An axis is thick-sliced when its spacing is more than this many times the finest one (nnU-Net's rule). */
const ANISOTROPY = 2;
/** Voxels that an axis keeps at the deepest level. */
const SMALLEST_EXTENT = 4;
/** No volume of today's scanners can be halved more often. */
const MOST_LEVELS = 9;

export interface Topology {
  /** Convolution kernel of each level. */
  readonly kernels: readonly Triple[];
  /** Pooling from each level to the next, one fewer. */
  readonly strides: readonly Triple[];
}

/**
 * Kernels and pooling for a patch of voxels of `spacing` mm, at most `levels` levels. Axes are halved while they keep 4
 * voxels; thick-sliced axes get flat kernels and no pooling until the others have caught up (Isensee et al. 2021). With
 * `exact` an axis is halved only where that leaves no remainder; otherwise the patch is rounded to patchMultiple later.
 */
export function topology(patch: Triple, spacing: Triple, levels = MOST_LEVELS, exact = false): Topology {
  const size = [...patch];
  const mm = [...spacing];
  const kernels: Triple[] = [];
  const strides: Triple[] = [];
  for (;;) {
    const thin = Math.min(...mm) * ANISOTROPY;
    kernels.push(mm.map((s) => (s > thin ? 1 : 3)) as unknown as Triple);
    const halved = mm.map((s, a) => s <= thin && size[a] >= 2 * SMALLEST_EXTENT && !(exact && size[a] % 2));
    if (kernels.length >= levels || !halved.includes(true)) return { kernels, strides };
    strides.push(halved.map((yes) => (yes ? 2 : 1)) as unknown as Triple);
    halved.forEach((yes, a) => {
      if (!yes) return;
      size[a] = Math.floor(size[a] / 2);
      mm[a] *= 2;
    });
  }
}
