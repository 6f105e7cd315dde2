import { type Dense, type Triple, zeros } from './dense.ts';

/** Output size floor(in / kernel); the rest at the end of an axis is dropped. */
function pooled(inputShape: readonly number[], kernel: Triple): number[] {
  const [n, d, h, w, c] = inputShape;
  return [n, Math.floor(d / kernel[0]), Math.floor(h / kernel[1]), Math.floor(w / kernel[2]), c];
}

/** Flat input index of each window's maximum: the first one in z, y, x order, as PyTorch. */
function argmax(x: Dense, kernel: Triple): Int32Array {
  const [, d, h, w, channels] = x.shape;
  const [n, od, oh, ow] = pooled(x.shape, kernel);
  const index = new Int32Array(n * od * oh * ow * channels);
  for (let b = 0; b < n; b++)
    for (let oz = 0; oz < od; oz++)
      for (let oy = 0; oy < oh; oy++)
        for (let ox = 0; ox < ow; ox++)
          for (let c = 0; c < channels; c++) {
            let best = -1;
            for (let z = oz * kernel[0]; z < (oz + 1) * kernel[0]; z++)
              for (let y = oy * kernel[1]; y < (oy + 1) * kernel[1]; y++)
                for (let xx = ox * kernel[2]; xx < (ox + 1) * kernel[2]; xx++) {
                  const i = (((b * d + z) * h + y) * w + xx) * channels + c;
                  if (best < 0 || x.data[i] > x.data[best]) best = i;
                }
            index[(((b * od + oz) * oh + oy) * ow + ox) * channels + c] = best;
          }
  return index;
}

/** Maximum over windows of `kernel` voxels, stride = kernel. torch.nn.functional.max_pool3d(x, kernel). */
export function maxPool3d(x: Dense, kernel: Triple): Dense {
  const y = zeros(pooled(x.shape, kernel));
  argmax(x, kernel).forEach((from, i) => {
    y.data[i] = x.data[from];
  });
  return y;
}

/** The window's first maximum takes the whole gradient. */
export function maxPool3dGrad(x: Dense, dy: Dense, kernel: Triple): Dense {
  const dx = zeros(x.shape);
  argmax(x, kernel).forEach((from, i) => {
    dx.data[from] += dy.data[i];
  });
  return dx;
}
