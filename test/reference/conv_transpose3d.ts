import { type Dense, type Triple, zeros } from './dense.ts';

export type ConvTranspose3dOptions = { stride: Triple; padding: Triple };

/** (in - 1) stride - 2 pad + k on each axis. */
export const convTranspose3dSize = (
  size: readonly number[],
  kernel: readonly number[],
  { stride, padding }: ConvTranspose3dOptions,
) => size.map((s, a) => (s - 1) * stride[a] - 2 * padding[a] + kernel[a]);

/** Calls visit(input voxel, tap, output voxel) for every tap that lands inside the output; all three are flat indices. */
function taps(
  input: readonly number[],
  kernel: readonly number[],
  options: ConvTranspose3dOptions,
  visit: (inp: number, tap: number, out: number) => void,
) {
  const [n, d, h, w] = input;
  const [kd, kh, kw] = kernel;
  const { stride, padding } = options;
  const [od, oh, ow] = convTranspose3dSize([d, h, w], [kd, kh, kw], options);
  for (let b = 0; b < n; b++)
    for (let z = 0; z < d; z++)
      for (let y = 0; y < h; y++)
        for (let x = 0; x < w; x++)
          for (let kz = 0; kz < kd; kz++)
            for (let ky = 0; ky < kh; ky++)
              for (let kx = 0; kx < kw; kx++) {
                const oz = z * stride[0] - padding[0] + kz;
                const oy = y * stride[1] - padding[1] + ky;
                const ox = x * stride[2] - padding[2] + kx;
                if (oz < 0 || oz >= od || oy < 0 || oy >= oh || ox < 0 || ox >= ow) continue;
                visit(((b * d + z) * h + y) * w + x, (kz * kh + ky) * kw + kx, ((b * od + oz) * oh + oy) * ow + ox);
              }
}

/** y[n, i * stride - padding + t, co] += x[n,i,ci] w[t,ci,co], plus bias. torch.nn.functional.conv_transpose3d. */
export function convTranspose3d(x: Dense, w: Dense, bias: Dense | null, options: ConvTranspose3dOptions): Dense {
  const [cin, cout] = w.shape.slice(3);
  const y = zeros([x.shape[0], ...convTranspose3dSize(x.shape.slice(1, 4), w.shape.slice(0, 3), options), cout]);
  if (bias) for (let i = 0; i < y.data.length; i++) y.data[i] = bias.data[i % cout];
  taps(x.shape, w.shape, options, (inp, tap, out) => {
    for (let ci = 0; ci < cin; ci++)
      for (let co = 0; co < cout; co++)
        y.data[out * cout + co] += x.data[inp * cin + ci] * w.data[(tap * cin + ci) * cout + co];
  });
  return y;
}

/** dx[n,i,ci] = sum over taps t and co of dy[n, i * stride - padding + t, co] w[t,ci,co]. */
export function convTranspose3dGradInput(
  dy: Dense,
  w: Dense,
  inputShape: readonly number[],
  options: ConvTranspose3dOptions,
): Dense {
  const [cin, cout] = w.shape.slice(3);
  const dx = zeros(inputShape);
  taps(inputShape, w.shape, options, (inp, tap, out) => {
    for (let ci = 0; ci < cin; ci++)
      for (let co = 0; co < cout; co++)
        dx.data[inp * cin + ci] += dy.data[out * cout + co] * w.data[(tap * cin + ci) * cout + co];
  });
  return dx;
}

/** dw[t,ci,co] = sum over n, i of x[n,i,ci] dy[n, i * stride - padding + t, co]. `weightShape` is [kd,kh,kw,Cin,Cout]. */
export function convTranspose3dGradWeight(
  x: Dense,
  dy: Dense,
  weightShape: readonly number[],
  options: ConvTranspose3dOptions,
): Dense {
  const [cin, cout] = weightShape.slice(3);
  const dw = zeros(weightShape);
  taps(x.shape, weightShape, options, (inp, tap, out) => {
    for (let ci = 0; ci < cin; ci++)
      for (let co = 0; co < cout; co++)
        dw.data[(tap * cin + ci) * cout + co] += x.data[inp * cin + ci] * dy.data[out * cout + co];
  });
  return dw;
}

/** db[co] = sum over n and voxels of dy. */
export function convTranspose3dGradBias(dy: Dense): Dense {
  const db = zeros([dy.shape[4]]);
  for (let i = 0; i < dy.data.length; i++) db.data[i % db.data.length] += dy.data[i];
  return db;
}
