import { type Dense, type Triple, zeros } from './dense.ts';

/** Calls visit(output index, input index) for every voxel of every window; output size floor(in / kernel). */
function windows(inputShape: readonly number[], kernel: Triple, visit: (out: number, inp: number) => void): number[] {
  const [n, d, h, w, channels] = inputShape;
  const [od, oh, ow] = [d, h, w].map((s, a) => Math.floor(s / kernel[a]));
  for (let b = 0; b < n; b++)
    for (let z = 0; z < od * kernel[0]; z++)
      for (let y = 0; y < oh * kernel[1]; y++)
        for (let x = 0; x < ow * kernel[2]; x++) {
          const [oz, oy, ox] = [z, y, x].map((p, a) => Math.floor(p / kernel[a]));
          const out = ((b * od + oz) * oh + oy) * ow + ox;
          const inp = ((b * d + z) * h + y) * w + x;
          for (let c = 0; c < channels; c++) visit(out * channels + c, inp * channels + c);
        }
  return [n, od, oh, ow, channels];
}

/** Mean over windows of `kernel` voxels, stride = kernel. torch.nn.functional.avg_pool3d(x, kernel). */
export function avgPool3d(x: Dense, kernel: Triple): Dense {
  const volume = kernel[0] * kernel[1] * kernel[2];
  const y = zeros(windows(x.shape, kernel, () => {}));
  windows(x.shape, kernel, (out, inp) => {
    y.data[out] += x.data[inp] / volume;
  });
  return y;
}

export function avgPool3dGrad(dy: Dense, inputShape: readonly number[], kernel: Triple): Dense {
  const volume = kernel[0] * kernel[1] * kernel[2];
  const dx = zeros(inputShape);
  windows(inputShape, kernel, (out, inp) => {
    dx.data[inp] += dy.data[out] / volume;
  });
  return dx;
}
