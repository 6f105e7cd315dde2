import { windowsGradKernel, windowsKernel } from '../../shaders/windows.wgsl.ts';
import { ShapeError } from '../errors.ts';
import type { Recording } from '../recording.ts';
import { formatShape, product, type Triple, triple } from '../shape.ts';
import { storedElements, type Tensor, volumeShape } from '../tensor.ts';

/** How many windows of `size` cells, `stride` apart, fit along each axis; the rest at the far end is left out. */
export function windowCounts(extents: Triple, size: Triple, stride: Triple): Triple {
  const along = (a: 0 | 1 | 2) => Math.max(0, Math.floor((extents[a] - size[a]) / stride[a]) + 1);
  return [along(0), along(1), along(2)];
}

/**
 * Overlapping windows of a grid, each flattened in the order [z, y, x, c]: x [N, D, H, W, C] -> [N, windows, z y x C].
 * torch.Tensor.unfold along the three axes, then a permute and a reshape. Errors: ShapeError when no window fits.
 *
 * @param size cells of a window [z, y, x], or one number for all; likewise `stride` from one window to the next
 */
export function windows(rec: Recording, x: Tensor, size: number | Triple, stride: number | Triple): Tensor {
  const [n, d, h, w, c] = volumeShape(x, 'windows');
  const [wz, wy, wx] = triple(size);
  const [sz, sy, sx] = triple(stride);
  const [nz, ny, nx] = windowCounts([d, h, w], [wz, wy, wx], [sz, sy, sx]);
  if (![wz, wy, wx, sz, sy, sx].every((v) => Number.isInteger(v) && v > 0) || nz * ny * nx === 0) {
    throw new ShapeError(
      `windows: no window of ${formatShape([wz, wy, wx])} cells at stride ${formatShape([sz, sy, sx])} fits into '${x.label}' ${formatShape(x.shape)}`,
    );
  }
  const unit = c % 4 === 0 ? 'vec4f' : 'f32';
  const width = unit === 'vec4f' ? 4 : 1;
  const y = rec.tensor([n, nz * ny * nx, product([wz, wy, wx, c])], 'windows');
  const params = { channels: c / width, x_pitch: x.pitch / width, y_pitch: y.pitch / width };
  const geometry = { ...params, d, h, w, nz, ny, nx, wz, wy, wx, sz, sy, sx };
  const count = storedElements(y) / width;
  rec.dispatch(windowsKernel(unit), { x, y }, { count, ...geometry }, count);
  return rec.node('windows', [x], y, (dy, gradients) => {
    const dx = gradients.out(0);
    if (!dx) return;
    const cells = storedElements(dx) / width;
    rec.dispatch(windowsGradKernel(unit), { dy, dx }, { count: cells, ...geometry }, cells);
  });
}
