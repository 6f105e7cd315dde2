import { convTranspose3dKernel } from '../../shaders/conv_transpose3d.wgsl.ts';
import { inputVec4s } from '../../shaders/shared/input_vec4s.ts';
import type { Recording } from '../recording.ts';
import { ceilDiv, convTransposeExtent } from '../shape.ts';
import { type Tensor, volumeShape } from '../tensor.ts';
import { recordProblem } from '../ways.ts';
import { tileWidth } from './conv3d_tiles.ts';
import { CONV3D, CONV3D_GRAD_WEIGHT } from './conv3d_ways.ts';
import { type Conv3dOptions, type Geometry, geometryOf } from './convolution.ts';
import { sumRowsInto } from './reduce.ts';

/**
 * The adjoint of conv3d as a layer: output = (input - 1) * stride - 2 padding + kernel; torch.nn.functional.conv_transpose3d.
 * x [N,D,H,W,Cin], w [kd,kh,kw,Cin,Cout], bias [Cout] or null.
 */
export function convTranspose3d(
  rec: Recording,
  x: Tensor,
  w: Tensor,
  bias: Tensor | null,
  options: Conv3dOptions = {},
): Tensor {
  const g = geometryOf('conv_transpose3d', x, w, bias, options);
  const [n, ...size] = volumeShape(x, 'conv_transpose3d');
  const out = [0, 1, 2].map((a) => convTransposeExtent(size[a], g.kernel[a], g.stride[a], g.padding[a]));
  const y = rec.tensor([n, ...out, w.shape[4]], 'conv_transpose3d', { dtype: options.store ?? x.dtype });
  scatter(rec, x, w, y, g, bias ?? undefined);
  return rec.node('conv_transpose3d', bias ? [x, w, bias] : [x, w], y, (dy, gradients) => {
    const dx = gradients.out(0);
    if (dx) {
      recordProblem(rec, CONV3D, { ...g, x: dy, w, y: dx, transpose: true, flip: false });
    }
    const dw = gradients.out(1);
    if (dw) {
      // The roles of x and dy are exchanged, and with them the channels of the sums.
      recordProblem(rec, CONV3D_GRAD_WEIGHT, { ...g, x: dy, dy: x, dw, swapped: true });
    }
    const dbias = bias && gradients.out(2);
    if (dbias) sumRowsInto(rec, dy, dbias);
  });
}

/** y = bias + conv_transpose3d(x, w). */
export function scatter(rec: Recording, x: Tensor, w: Tensor, y: Tensor, g: Geometry, bias?: Tensor): void {
  const [n, depth, height, width, cin] = x.shape;
  const [, outDepth, outHeight, outWidth] = y.shape;
  const tileX = tileWidth(ceilDiv(outWidth, g.stride[2]), 4);
  const tiles = ceilDiv(ceilDiv(outWidth, g.stride[2]), tileX);
  const cout4 = y.pitch / 4;
  const count = n * outDepth * outHeight * tiles * g.stride[2] * cout4;
  rec.dispatch(
    convTranspose3dKernel({ kernel: g.kernel, stride: g.stride, tileX, ...inputVec4s(cin), bias: bias !== undefined }),
    bias ? { x, w, y, bias } : { x, w, y },
    {
      ...{ count, tiles, depth, height, width, cin },
      ...{ out_depth: outDepth, out_height: outHeight, out_width: outWidth, cout4 },
      ...{ pad_z: g.padding[0], pad_y: g.padding[1], pad_x: g.padding[2] },
    },
    count,
  );
}
