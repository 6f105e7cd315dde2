import { type Dense, type Triple, zeros } from './dense.ts';

/** Calls `visit` with the flat index into y and into x of every element of every window. */
function eachElement(
  shape: readonly number[],
  size: Triple,
  stride: Triple,
  visit: (to: number, from: number) => void,
) {
  const [n, d, h, w, c] = shape;
  let to = 0;
  for (let sample = 0; sample < n; sample++)
    for (let z = 0; z + size[0] <= d; z += stride[0])
      for (let y = 0; y + size[1] <= h; y += stride[1])
        for (let x = 0; x + size[2] <= w; x += stride[2])
          for (let cz = 0; cz < size[0]; cz++)
            for (let cy = 0; cy < size[1]; cy++)
              for (let cx = 0; cx < size[2]; cx++)
                for (let channel = 0; channel < c; channel++)
                  visit(to++, (((sample * d + z + cz) * h + y + cy) * w + x + cx) * c + channel);
}

/** Overlapping windows, each flattened [z, y, x, c]: [N,D,H,W,C] -> [N, windows, size C]. torch.Tensor.unfold on three axes. */
export function windows(x: Dense, size: Triple, stride: Triple): Dense {
  const along = (a: number) => Math.floor((x.shape[1 + a] - size[a]) / stride[a]) + 1;
  const y = zeros([x.shape[0], along(0) * along(1) * along(2), size[0] * size[1] * size[2] * x.shape[4]]);
  eachElement(x.shape, size, stride, (to, from) => {
    y.data[to] = x.data[from];
  });
  return y;
}

/** Every element of dy added to the cell it was copied from. */
export function windowsGrad(dy: Dense, inputShape: readonly number[], size: Triple, stride: Triple): Dense {
  const dx = zeros(inputShape);
  eachElement(inputShape, size, stride, (to, from) => {
    dx.data[from] += dy.data[to];
  });
  return dx;
}
