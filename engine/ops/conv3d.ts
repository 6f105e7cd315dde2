import type { Recording } from '../recording.ts';
import { convExtent, sameShape, type Triple } from '../shape.ts';
import { channels, type Tensor, vec4s, volumeShape } from '../tensor.ts';
import { recordProblem } from '../ways.ts';
import { concat } from './concat.ts';
import { scatter } from './conv_transpose3d.ts';
import { CONV3D, CONV3D_GRAD_WEIGHT } from './conv3d_ways.ts';
import {
  type Conv3dOptions,
  type Convolution,
  type Geometry,
  geometryOf,
  packWeights,
  unitStride,
} from './convolution.ts';
import { sumRowsInto } from './reduce.ts';

/**
 * y[n,o,co] = bias[co] + sum over taps t and ci of x[n, o*stride - padding + t, ci] w[t,ci,co]; torch.nn.functional.conv3d.
 * x [N,D,H,W,Cin], w [kd,kh,kw,Cin,Cout], bias [Cout] or null. dx is a convolution with flipped, transposed weights (stride
 * 1) or a transposed one; dw sums x times dy over voxels in two stages; dbias = sum of dy.
 */
export function conv3d(rec: Recording, x: Tensor, w: Tensor, bias: Tensor | null, options: Conv3dOptions = {}): Tensor {
  return convolution(rec, [x], w, bias, geometryOf('conv3d', x, w, bias, options), options);
}

/**
 * conv3d of two tensors joined along the channels, conv3d(concat([x, also])), as U-Nets have it behind a skip connection. On
 * GPUs the joined tensor and its gradient are never made: kernels read both, and both gradients are written in their places.
 * x [N,D,H,W,C1], also [N,D,H,W,C2], w [kd,kh,kw,C1+C2,Cout].
 */
export function conv3dJoined(
  rec: Recording,
  [x, also]: readonly [Tensor, Tensor],
  w: Tensor,
  bias: Tensor | null,
  options: Conv3dOptions = {},
): Tensor {
  const own = channels(x);
  const joined = { ...x, shape: [...x.shape.slice(0, -1), own + channels(also)] };
  const g = geometryOf('conv3d', joined, w, bias, options);
  const reach = g.kernel.every((k, a) => k - 1 >= g.padding[a]);
  const together = sameShape(x.shape.slice(0, -1), also.shape.slice(0, -1)) && x.dtype === also.dtype && own % 4 === 0;
  if (rec.device.software || !together || !unitStride(g) || !reach) {
    return conv3d(rec, concat(rec, [x, also]), w, bias, options);
  }
  return convolution(rec, [x, also], w, bias, g, options);
}

/** Of one tensor or of two joined ones, each with a gradient of its own. */
function convolution(
  rec: Recording,
  inputs: readonly [Tensor, Tensor?],
  w: Tensor,
  bias: Tensor | null,
  g: Geometry,
  { store, moments }: Conv3dOptions,
): Tensor {
  const [x, also] = inputs;
  const given = also ? [x, also] : [x];
  const [n, ...size] = volumeShape(x, 'conv3d');
  const out = [0, 1, 2].map((a) => convExtent(size[a], g.kernel[a], g.stride[a], g.padding[a]));
  const y = rec.tensor([n, ...out, w.shape[4]], 'conv3d', { dtype: store ?? x.dtype });
  const problem: Convolution = {
    ...{ ...g, x, w, y, transpose: false, flip: false },
    ...{ ...(also && { also }), ...(bias && { bias }), ...(moments && { moments }) },
  };
  recordProblem(rec, CONV3D, problem);
  return rec.node('conv3d', [...given, w, ...(bias ? [bias] : [])], y, (dy, gradients) => {
    const parts = given.map((input, i) => ({ input, firstIn: i * channels(x) }));
    parts.forEach(({ firstIn }, i) => {
      const dx = gradients.out(i);
      if (dx) adjoint(rec, dy, w, dx, { ...g, firstIn });
    });
    const dw = gradients.out(given.length);
    if (dw) {
      for (const { input, firstIn } of parts)
        recordProblem(rec, CONV3D_GRAD_WEIGHT, { ...g, x: input, dy, dw, firstIn });
    }
    const dbias = bias && gradients.out(given.length + 1);
    if (dbias) sumRowsInto(rec, dy, dbias);
  });
}

/** dx of conv3d: with stride 1 a convolution with flipped, transposed weights, else a transposed convolution. */
function adjoint(rec: Recording, dy: Tensor, w: Tensor, dx: Tensor, g: Geometry & { firstIn?: number }): void {
  const padding = g.kernel.map((k, a) => k - 1 - g.padding[a]) as unknown as Triple;
  if (unitStride(g) && padding.every((pad) => pad >= 0)) {
    recordProblem(rec, CONV3D, { ...g, padding, x: dy, w, y: dx, transpose: true, flip: true });
    return;
  }
  const [kd, kh, kw, cin, cout] = w.shape;
  const transposed = rec.tensor([kd, kh, kw, cout, cin], `${w.label}.transposed`);
  packWeights(rec, w, transposed, { transpose: true, flip: false, slice: dx.pitch / 4, stride: vec4s(transposed) });
  scatter(rec, dy, transposed, dx, g);
}

/**
 * The weight gradient of conv3d with stride 1 as an op of its own: y[t, ci, co] = sum over voxels o of x[o - padding + t, ci]
 * dy[o, co]. x [N,D,H,W,Cin], dy [N,...,Cout] as conv3d's output for this kernel; [kd,kh,kw,Cin,Cout]. No gradient.
 */
export function correlate3d(rec: Recording, x: Tensor, dy: Tensor, kernel: Triple, padding: Triple): Tensor {
  const y = rec.tensor([...kernel, channels(x), channels(dy)], 'correlate3d');
  recordProblem(rec, CONV3D_GRAD_WEIGHT, { kernel, stride: [1, 1, 1], padding, x, dy, dw: y });
  return y;
}
