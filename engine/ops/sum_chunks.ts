import { sumPartialsKernel } from '../../shaders/conv3d_grad_weight.wgsl.ts';
import type { Recording } from '../recording.ts';
import { type Tensor, vec4s } from '../tensor.ts';

/** y = the sum of the `chunks` equal parts that `partial` holds one after the other, added in their order. */
export function sumChunks(rec: Recording, partial: Tensor, y: Tensor, chunks: number): void {
  const count = vec4s(y);
  const cout4 = y.pitch / 4;
  const rows = { cin: 1, cin_padded: 1, cout4, cout4_padded: cout4, rows: 1, first: 0 };
  rec.dispatch(sumPartialsKernel(), { partial, dw: y }, { count, chunks, ...rows, stride: count }, count);
}
