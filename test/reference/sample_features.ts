import { type Dense, type Triple, zeros } from './dense.ts';
import { resize3d, resize3dGrad } from './resize3d.ts';

export interface Sampling {
  size: Triple;
  neighbourhood: 1 | 3;
  alignCorners: boolean;
}

/** Calls visit(point, tap, sample, voxel) for every tap of every point that lies in the volume. */
function taps(
  points: readonly number[],
  samples: number,
  { size, neighbourhood }: Sampling,
  visit: (point: number, tap: number, sample: number, voxel: number) => void,
): void {
  const [d, h, w] = size;
  const reach = (neighbourhood - 1) / 2;
  points.forEach((point, q) => {
    const sample = Math.floor(point / (d * h * w));
    if (sample >= samples) return;
    const [z, y, x] = [Math.floor(point / (h * w)) % d, Math.floor(point / w) % h, point % w];
    let tap = 0;
    for (let tz = z - reach; tz <= z + reach; tz++)
      for (let ty = y - reach; ty <= y + reach; ty++)
        for (let tx = x - reach; tx <= x + reach; tx++, tap++) {
          const inside = tz >= 0 && tz < d && ty >= 0 && ty < h && tx >= 0 && tx < w;
          if (inside) visit(q, tap, sample, (tz * h + ty) * w + tx);
        }
  });
}

/** Channels of a level as they are stored in a tap. */
const stored = (x: Dense): number => Math.ceil(x.shape[4] / 4) * 4;

/** Every level resized to full resolution, then read at the taps: [points, taps * sum of stored channels]. */
export function sampleFeatures(levels: readonly Dense[], points: readonly number[], options: Sampling): Dense {
  const width = levels.reduce((sum, x) => sum + stored(x), 0);
  const y = zeros([points.length, options.neighbourhood ** 3 * width]);
  const voxels = options.size[0] * options.size[1] * options.size[2];
  let from = 0;
  for (const level of levels) {
    const channels = level.shape[4];
    const full = resize3d(level, options.size, options.alignCorners);
    taps(points, level.shape[0], options, (q, tap, sample, voxel) => {
      for (let c = 0; c < channels; c++) {
        y.data[q * y.shape[1] + tap * width + from + c] = full.data[(sample * voxels + voxel) * channels + c];
      }
    });
    from += stored(level);
  }
  return y;
}

/** The adjoint: gradients of the levels. */
export function sampleFeaturesGrad(
  dy: Dense,
  levels: readonly Dense[],
  points: readonly number[],
  options: Sampling,
): Dense[] {
  const width = levels.reduce((sum, x) => sum + stored(x), 0);
  const voxels = options.size[0] * options.size[1] * options.size[2];
  let from = 0;
  return levels.map((level) => {
    const channels = level.shape[4];
    const full = zeros([level.shape[0], ...options.size, channels]);
    taps(points, level.shape[0], options, (q, tap, sample, voxel) => {
      for (let c = 0; c < channels; c++) {
        full.data[(sample * voxels + voxel) * channels + c] += dy.data[q * dy.shape[1] + tap * width + from + c];
      }
    });
    from += stored(level);
    return resize3dGrad(full, level.shape, options.alignCorners);
  });
}
