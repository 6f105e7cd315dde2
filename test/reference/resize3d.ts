import { type Dense, type Triple, zeros } from './dense.ts';

/**
 * The two source positions and weights of each output position on one axis. align_corners: o (in - 1) / (out - 1);
 * otherwise max(0, (o + 1/2) in / out - 1/2). The upper neighbour is clamped to the last position.
 */
function axis(from: number, to: number, alignCorners: boolean) {
  return Array.from({ length: to }, (_, o) => {
    const aligned = to > 1 ? (o * (from - 1)) / (to - 1) : 0;
    const source = alignCorners ? aligned : Math.max(0, ((o + 0.5) * from) / to - 0.5);
    const low = Math.min(Math.floor(source), from - 1);
    return [
      { at: low, weight: 1 - (source - low) },
      { at: Math.min(low + 1, from - 1), weight: source - low },
    ];
  });
}

/** Calls visit(output voxel, input voxel, weight) for the eight corners of each output voxel. */
function corners(
  inputShape: readonly number[],
  size: Triple,
  alignCorners: boolean,
  visit: (out: number, inp: number, weight: number) => void,
) {
  const [n, d, h, w] = inputShape;
  const [az, ay, ax] = [d, h, w].map((from, a) => axis(from, size[a], alignCorners));
  for (let b = 0; b < n; b++)
    for (let oz = 0; oz < size[0]; oz++)
      for (let oy = 0; oy < size[1]; oy++)
        for (let ox = 0; ox < size[2]; ox++)
          for (const z of az[oz])
            for (const y of ay[oy])
              for (const x of ax[ox]) {
                const out = ((b * size[0] + oz) * size[1] + oy) * size[2] + ox;
                visit(out, ((b * d + z.at) * h + y.at) * w + x.at, z.weight * y.weight * x.weight);
              }
}

/** Trilinear resize to `size`. torch.nn.functional.interpolate(x, size, mode='trilinear', align_corners). */
export function resize3d(x: Dense, size: Triple, alignCorners: boolean): Dense {
  const channels = x.shape[4];
  const y = zeros([x.shape[0], ...size, channels]);
  corners(x.shape, size, alignCorners, (out, inp, weight) => {
    for (let c = 0; c < channels; c++) y.data[out * channels + c] += weight * x.data[inp * channels + c];
  });
  return y;
}

/** The adjoint: each output gradient goes back to its eight corners with the same weights. */
export function resize3dGrad(dy: Dense, inputShape: readonly number[], alignCorners: boolean): Dense {
  const channels = inputShape[4];
  const dx = zeros(inputShape);
  const size: Triple = [dy.shape[1], dy.shape[2], dy.shape[3]];
  corners(inputShape, size, alignCorners, (out, inp, weight) => {
    for (let c = 0; c < channels; c++) dx.data[inp * channels + c] += weight * dy.data[out * channels + c];
  });
  return dx;
}
