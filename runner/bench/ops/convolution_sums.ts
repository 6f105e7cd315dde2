/** Single values of convolutions and their gradients in float64. */
import { product, type Triple } from '../../../engine/shape.ts';
import { places, type Sampled, sampleCount } from '../samples.ts';

/**
 * A convolution as sums between a fine grid i and a coarse grid o, i = o stride - padding + t for the taps t of the kernel:
 * conv3d goes from fine to coarse, its transpose back. Volumes are [N, D, H, W, C].
 */
export interface Convolution {
  readonly fine: readonly number[];
  readonly coarse: readonly number[];
  readonly kernel: Triple;
  readonly stride: Triple;
  readonly padding: Triple;
  /** Place of a weight: tap, channel of the fine and of the coarse grid. */
  weight(tap: number, fine: number, coarse: number): number;
}

type Values = ArrayLike<number>;

/** [n, z, y, x, c] of a dense place. */
function unravel(place: number, shape: readonly number[]): number[] {
  const at = new Array<number>(shape.length);
  for (let axis = shape.length - 1, rest = place; axis >= 0; axis--) {
    at[axis] = rest % shape[axis];
    rest = Math.floor(rest / shape[axis]);
  }
  return at;
}

/** First channel of the voxel, or -1 outside. */
function voxel(shape: readonly number[], n: number, z: number, y: number, x: number): number {
  const [, depth, height, width, channels] = shape;
  if (z < 0 || y < 0 || x < 0 || z >= depth || y >= height || x >= width) return -1;
  return (((n * depth + z) * height + y) * width + x) * channels;
}

function sampled(total: number, terms: number, value: (place: number) => number): Sampled {
  const at = places(total, sampleCount(terms));
  return { at, expected: at.map(value), terms };
}

/** coarse[o, c] = sum over taps and f of fine[i, f] w: conv3d forward, and the input's gradient of its transpose. */
export function coarseSums(g: Convolution, fine: Values, w: Values): Sampled {
  const { kernel, stride: s, padding: p } = g;
  const channels = g.fine[4];
  return sampled(product(g.coarse), product(kernel) * channels, (place) => {
    const [n, z, y, x, c] = unravel(place, g.coarse);
    let sum = 0;
    for (let tap = 0; tap < product(kernel); tap++) {
      const [tz, ty, tx] = unravel(tap, kernel);
      const from = voxel(g.fine, n, z * s[0] - p[0] + tz, y * s[1] - p[1] + ty, x * s[2] - p[2] + tx);
      if (from < 0) continue;
      for (let f = 0; f < channels; f++) sum += fine[from + f] * w[g.weight(tap, f, c)];
    }
    return sum;
  });
}

/** fine[i, f] = sum over taps and c of coarse[o, c] w: the input's gradient of conv3d, and its transpose forward. */
export function fineSums(g: Convolution, coarse: Values, w: Values): Sampled {
  const { kernel, stride: s, padding: p } = g;
  const channels = g.coarse[4];
  return sampled(product(g.fine), product(kernel) * channels, (place) => {
    const [n, ...i] = unravel(place, g.fine);
    const f = i[3];
    let sum = 0;
    for (let tap = 0; tap < product(kernel); tap++) {
      const t = unravel(tap, kernel);
      const [z, y, x] = [0, 1, 2].map((a) => (i[a] + p[a] - t[a]) / s[a]);
      if (!Number.isInteger(z) || !Number.isInteger(y) || !Number.isInteger(x)) continue;
      const from = voxel(g.coarse, n, z, y, x);
      if (from < 0) continue;
      for (let c = 0; c < channels; c++) sum += coarse[from + c] * w[g.weight(tap, f, c)];
    }
    return sum;
  });
}

/** dw[t, f, c] = sum over the coarse voxels of fine[i, f] coarse[o, c]: the weight's gradient of both. */
export function weightSums(g: Convolution, fine: Values, coarse: Values): Sampled {
  const { kernel, stride: s, padding: p } = g;
  const [batch, depth, height, width, coarseChannels] = g.coarse;
  const fineChannels = g.fine[4];
  const terms = batch * depth * height * width;
  const total = product(kernel) * fineChannels * coarseChannels;
  const wanted = places(total, sampleCount(terms));
  const at: number[] = [];
  const expected = wanted.map((place) => {
    const [tap, f, c] = unravel(place, [product(kernel), fineChannels, coarseChannels]);
    at.push(g.weight(tap, f, c));
    const [tz, ty, tx] = unravel(tap, kernel);
    let sum = 0;
    for (let n = 0, o = 0; n < batch; n++)
      for (let z = 0; z < depth; z++)
        for (let y = 0; y < height; y++)
          for (let x = 0; x < width; x++, o++) {
            const from = voxel(g.fine, n, z * s[0] - p[0] + tz, y * s[1] - p[1] + ty, x * s[2] - p[2] + tx);
            if (from >= 0) sum += fine[from + f] * coarse[o * coarseChannels + c];
          }
    return sum;
  });
  return { at, expected, terms };
}
