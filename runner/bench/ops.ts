import type { KernelOp } from './case.ts';
import { conv3dF16Op, conv3dOp, convTranspose3dOp } from './ops/convolution.ts';
import { lossOp } from './ops/loss.ts';
import { matmulOp } from './ops/matmul.ts';
import { maxPool3dOp } from './ops/max_pool3d.ts';
import { normOp } from './ops/norm.ts';
import { addOp, concatOp, softmaxOp } from './ops/pointwise.ts';
import { sgdOp } from './ops/sgd.ts';
import type { KernelOpName } from './shapes.ts';

/** Everything that `bench kernels` can time. */
export const OPS: Readonly<Record<KernelOpName, KernelOp>> = {
  conv3d: conv3dOp,
  conv3d_f16: conv3dF16Op,
  conv_transpose3d: convTranspose3dOp,
  norm: normOp,
  max_pool3d: maxPool3dOp,
  concat: concatOp,
  loss: lossOp,
  softmax: softmaxOp,
  add: addOp,
  matmul: matmulOp,
  sgd: sgdOp,
};
