import type { Recording } from '../recording.ts';
import { convExtent, type Triple } from '../shape.ts';
import { channels, type Tensor, vec4s, volumeShape } from '../tensor.ts';
import { wayFor } from '../ways.ts';
import { scatter } from './conv_transpose3d.ts';
import { CONV3D, CONV3D_GRAD_WEIGHT } from './conv3d_ways.ts';
import { type Conv3dOptions, type Geometry, geometryOf, packWeights, unitStride } from './convolution.ts';
import { columnSums } from './reduce.ts';

/**
 * y[n,o,co] = bias[co] + sum over taps t and ci of x[n, o*stride - padding + t, ci] w[t,ci,co]; torch.nn.functional.conv3d.
 * x [N,D,H,W,Cin], w [kd,kh,kw,Cin,Cout], bias [Cout] or null. dx is a convolution with flipped, transposed weights (stride
 * 1) or a transposed one; dw sums x times dy over voxels in two stages; dbias = sum of dy.
 */
export function conv3d(rec: Recording, x: Tensor, w: Tensor, bias: Tensor | null, options: Conv3dOptions = {}): Tensor {
  const g = geometryOf('conv3d', x, w, bias, options);
  const [n, ...size] = volumeShape(x, 'conv3d');
  const out = [0, 1, 2].map((a) => convExtent(size[a], g.kernel[a], g.stride[a], g.padding[a]));
  const y = rec.tensor([n, ...out, w.shape[4]], 'conv3d', { dtype: options.store ?? x.dtype });
  const forward = { ...g, x, w, y, ...(bias && { bias }), transpose: false, flip: false };
  wayFor(rec.device, CONV3D, forward).record(rec, forward);
  return rec.node('conv3d', bias ? [x, w, bias] : [x, w], y, (dy, gradients) => {
    const dx = gradients.out(0);
    if (dx) adjoint(rec, dy, w, dx, g);
    const dw = gradients.out(1);
    if (dw) gradWeight(rec, x, dy, dw, g);
    if (bias?.requiresGrad) gradients.pass(2, columnSums(rec, dy));
  });
}

/** dx of conv3d: with stride 1 a convolution with flipped, transposed weights, else a transposed convolution. */
function adjoint(rec: Recording, dy: Tensor, w: Tensor, dx: Tensor, g: Geometry): void {
  const padding = g.kernel.map((k, a) => k - 1 - g.padding[a]) as unknown as Triple;
  if (unitStride(g) && padding.every((pad) => pad >= 0)) {
    const problem = { ...g, padding, x: dy, w, y: dx, transpose: true, flip: true };
    wayFor(rec.device, CONV3D, problem).record(rec, problem);
    return;
  }
  const [kd, kh, kw, cin, cout] = w.shape;
  const transposed = rec.tensor([kd, kh, kw, cout, cin], `${w.label}.transposed`);
  packWeights(rec, w, transposed, { transpose: true, flip: false, slice: dx.pitch / 4, stride: vec4s(transposed) });
  scatter(rec, dy, transposed, dx, g);
}

/** dw[t,ci,co] = sum over voxels o of x[n, o*stride - padding + t, ci] dy[n,o,co]. */
function gradWeight(rec: Recording, x: Tensor, dy: Tensor, dw: Tensor, g: Geometry): void {
  const problem = { ...g, x, dy, dw };
  wayFor(rec.device, CONV3D_GRAD_WEIGHT, problem).record(rec, problem);
}

/**
 * The weight gradient of conv3d with stride 1 as an op of its own: y[t, ci, co] = sum over voxels o of x[o - padding + t, ci]
 * dy[o, co]. x [N,D,H,W,Cin], dy [N,...,Cout] as conv3d's output for this kernel; [kd,kh,kw,Cin,Cout]. No gradient.
 */
export function correlate3d(rec: Recording, x: Tensor, dy: Tensor, kernel: Triple, padding: Triple): Tensor {
  const y = rec.tensor([...kernel, channels(x), channels(dy)], 'correlate3d');
  gradWeight(rec, x, dy, y, { kernel, stride: [1, 1, 1], padding });
  return y;
}
