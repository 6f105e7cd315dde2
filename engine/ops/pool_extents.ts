import { ShapeError } from '../errors.ts';
import { convExtent, formatShape, type Triple } from '../shape.ts';
import { type Tensor, volumeShape } from '../tensor.ts';

/**
 * Input and output of a pooling with stride = kernel, as its kernels take them; a rest at the end of an axis is
 * dropped. Errors: ShapeError when the window is larger than the volume.
 */
export function poolExtents(op: string, x: Tensor, kernel: Triple) {
  const [n, d, h, w, c] = volumeShape(x, op);
  const [od, oh, ow] = [d, h, w].map((size, axis) => convExtent(size, kernel[axis], kernel[axis], 0));
  if (kernel.some((k) => !Number.isInteger(k) || k < 1) || od < 1 || oh < 1 || ow < 1) {
    throw new ShapeError(
      `${op}: windows of ${formatShape(kernel)} voxels [z, y, x] do not fit '${x.label}' ${formatShape(x.shape)}; use a larger patch or fewer levels`,
    );
  }
  return { shape: [n, od, oh, ow, c], params: { pitch: x.pitch / 4, d, h, w, od, oh, ow } };
}
