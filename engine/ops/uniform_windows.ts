import type { Device } from '../device.ts';
import { type Tensor, vec4s } from '../tensor.ts';

/**
 * Reading tensors through uniform bindings, on adapters where that is much faster than through storage bindings (llvmpipe):
 * a binding holds 64 KiB, so a kernel sees a window of the tensor.
 */

/** vec4 in a window: 64 KiB. */
export const WINDOW = 4096;

/**
 * vec4 in a window of a smaller volume whose planes fit: one size for all, since a kernel is made for one and takes half a
 * second to compile.
 */
const SMALL_WINDOW = 1024;

/** vec4 in each window of a volume [N,D,H,W,C]. */
export function windowSize(t: Tensor, alignment: number): number {
  const total = vec4s(t);
  const [, , height, width] = t.shape;
  const plane = height * width * (t.pitch / 4);
  const small = plane + alignment <= SMALL_WINDOW && total > SMALL_WINDOW && (total - SMALL_WINDOW) % alignment === 0;
  return total < WINDOW && small ? SMALL_WINDOW : Math.min(WINDOW, total);
}

/**
 * A uniform view of a tensor, `size` vec4 long, and where in it vec4 `origin` of the tensor lies. It begins less than `alignment`
 * before `from`, or ends with the tensor.
 */
export function windowOf(
  t: Tensor,
  size: number,
  origin: number,
  from: number,
  alignment: number,
): { view: Tensor; base: number } {
  const start = Math.min(Math.floor(Math.max(0, from) / alignment) * alignment, vec4s(t) - size);
  return { view: { ...t, shape: [size, 4], pitch: 4, offset: t.offset + start * 16 }, base: origin - start };
}

/** vec4 units that the offset of a uniform binding must be a multiple of. */
export function uniformAlignment(device: Device): number {
  return Math.max(1, device.limits.minUniformBufferOffsetAlignment / 16);
}

/** Rows of a plane of a volume [N,D,H,W,C] that fit a window together with `reach` more; alignment steals a few vec4. */
export function rowsInWindow(t: Tensor, reach: number, alignment: number): number {
  const [, , height, width] = t.shape;
  const row = width * (t.pitch / 4);
  if (vec4s(t) <= WINDOW || row * height + alignment <= WINDOW) return height;
  return Math.floor((WINDOW - alignment) / row) - reach;
}

/** Whether windows pay on this adapter and can be placed anywhere in these tensors. */
export function windowable(device: Device, ...tensors: Tensor[]): boolean {
  const alignment = uniformAlignment(device);
  return (
    device.uniformWindows &&
    tensors.every(
      (t) =>
        t.dtype === 'f32' &&
        (vec4s(t) <= WINDOW || (vec4s(t) - WINDOW) % alignment === 0) &&
        t.offset % (alignment * 16) === 0,
    )
  );
}
