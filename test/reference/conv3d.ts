import { type Dense, type Triple, zeros } from './dense.ts';

export type Conv3dOptions = { stride: Triple; padding: Triple };

/** floor((in + 2 pad - k) / stride) + 1 on each axis. */
export const conv3dSize = (size: readonly number[], kernel: readonly number[], { stride, padding }: Conv3dOptions) =>
  size.map((s, a) => Math.floor((s + 2 * padding[a] - kernel[a]) / stride[a]) + 1);

/** Calls visit(output voxel, tap, input voxel) for every tap that lands inside the input; all three are flat indices. */
function taps(
  input: readonly number[],
  kernel: readonly number[],
  options: Conv3dOptions,
  visit: (out: number, tap: number, inp: number) => void,
) {
  const [n, d, h, w] = input;
  const [kd, kh, kw] = kernel;
  const { stride, padding } = options;
  const [od, oh, ow] = conv3dSize([d, h, w], [kd, kh, kw], options);
  for (let b = 0; b < n; b++)
    for (let oz = 0; oz < od; oz++)
      for (let oy = 0; oy < oh; oy++)
        for (let ox = 0; ox < ow; ox++)
          for (let kz = 0; kz < kd; kz++)
            for (let ky = 0; ky < kh; ky++)
              for (let kx = 0; kx < kw; kx++) {
                const z = oz * stride[0] - padding[0] + kz;
                const y = oy * stride[1] - padding[1] + ky;
                const x = ox * stride[2] - padding[2] + kx;
                if (z < 0 || z >= d || y < 0 || y >= h || x < 0 || x >= w) continue;
                visit(((b * od + oz) * oh + oy) * ow + ox, (kz * kh + ky) * kw + kx, ((b * d + z) * h + y) * w + x);
              }
}

/** y[n,o,co] = bias[co] + sum over taps t and ci of x[n, o * stride - padding + t, ci] w[t,ci,co]; zero padding. torch.nn.functional.conv3d. */
export function conv3d(x: Dense, w: Dense, bias: Dense | null, options: Conv3dOptions): Dense {
  const [cin, cout] = w.shape.slice(3);
  const y = zeros([x.shape[0], ...conv3dSize(x.shape.slice(1, 4), w.shape.slice(0, 3), options), cout]);
  if (bias) for (let i = 0; i < y.data.length; i++) y.data[i] = bias.data[i % cout];
  taps(x.shape, w.shape, options, (out, tap, inp) => {
    for (let ci = 0; ci < cin; ci++)
      for (let co = 0; co < cout; co++)
        y.data[out * cout + co] += x.data[inp * cin + ci] * w.data[(tap * cin + ci) * cout + co];
  });
  return y;
}

/** dx[n,i,ci] = sum of dy[n,o,co] w[t,ci,co] over the (o, t) that read voxel i. */
export function conv3dGradInput(dy: Dense, w: Dense, inputShape: readonly number[], options: Conv3dOptions): Dense {
  const [cin, cout] = w.shape.slice(3);
  const dx = zeros(inputShape);
  taps(inputShape, w.shape, options, (out, tap, inp) => {
    for (let ci = 0; ci < cin; ci++)
      for (let co = 0; co < cout; co++)
        dx.data[inp * cin + ci] += dy.data[out * cout + co] * w.data[(tap * cin + ci) * cout + co];
  });
  return dx;
}

/** dw[t,ci,co] = sum over n, o of x[n, o * stride - padding + t, ci] dy[n,o,co]. `weightShape` is [kd,kh,kw,Cin,Cout]. */
export function conv3dGradWeight(x: Dense, dy: Dense, weightShape: readonly number[], options: Conv3dOptions): Dense {
  const [cin, cout] = weightShape.slice(3);
  const dw = zeros(weightShape);
  taps(x.shape, weightShape, options, (out, tap, inp) => {
    for (let ci = 0; ci < cin; ci++)
      for (let co = 0; co < cout; co++)
        dw.data[(tap * cin + ci) * cout + co] += x.data[inp * cin + ci] * dy.data[out * cout + co];
  });
  return dw;
}

/** db[co] = sum over n and voxels of dy. */
export function conv3dGradBias(dy: Dense): Dense {
  const db = zeros([dy.shape[4]]);
  for (let i = 0; i < dy.data.length; i++) db.data[i % db.data.length] += dy.data[i];
  return db;
}
