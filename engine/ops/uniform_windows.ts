import type { Recording } from '../recording.ts';
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
export function uniformAlignment(rec: Recording): number {
  return Math.max(1, rec.device.limits.minUniformBufferOffsetAlignment / 16);
}

/** Whether windows pay on this adapter and can be placed anywhere in these tensors. */
export function windowable(rec: Recording, ...tensors: Tensor[]): boolean {
  const alignment = uniformAlignment(rec);
  return (
    rec.device.uniformWindows &&
    tensors.every(
      (t) => (vec4s(t) <= WINDOW || (vec4s(t) - WINDOW) % alignment === 0) && t.offset % (alignment * 16) === 0,
    )
  );
}
