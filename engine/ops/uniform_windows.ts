import type { Device } from '../device.ts';
import { type Tensor, vec4s } from '../tensor.ts';

/**
 * Reading tensors through uniform bindings, on adapters where that is much faster than through storage bindings (llvmpipe):
 * a binding holds 64 KiB, so a kernel sees a window of the tensor.
 */

/** vec4 in a window: 64 KiB. */
export const WINDOW = 4096;

/** A uniform view of a tensor that contains [from, from + needed) vec4, and where in it `origin` lies. */
export function windowOf(t: Tensor, origin: number, from: number, alignment: number): { view: Tensor; base: number } {
  const total = vec4s(t);
  const size = Math.min(WINDOW, total);
  const start = Math.min(Math.floor(Math.max(0, from) / alignment) * alignment, total - size);
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
