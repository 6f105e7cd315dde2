/** Random volumes for the tests of mixing. */
import type { Device } from '../../engine/device.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { random } from '../reference/dense.ts';
import type * as reference from '../reference/mix.ts';

export type Size = readonly [number, number, number];

export const u32 = (device: Device, shape: readonly number[], data: ArrayLike<number>): Tensor =>
  device.tensor(shape, 'u32', { dtype: 'u32', dense: true, data });

/** Random volumes whose labels come from `allowed` of each sample. */
export function volumes(
  batch: number,
  size: Size,
  channels: number,
  allowed: readonly number[][],
  seed: number,
): reference.Volumes {
  const voxels = size[0] * size[1] * size[2];
  const draws = random([batch, voxels, channels + 2], seed).data;
  const at = (b: number, v: number, k: number) => draws[(b * voxels + v) * (channels + 2) + k];
  const each = <T>(value: (b: number) => T) => Array.from({ length: batch }, (_, b) => value(b));
  const array = (n: number, value: (i: number) => number) => Float64Array.from({ length: n }, (_, i) => value(i));
  return {
    image: each((b) => array(voxels * channels, (i) => at(b, Math.floor(i / channels), i % channels))),
    labels: each((b) =>
      Array.from({ length: voxels }, (_, v) => {
        const set = allowed[b % allowed.length];
        return set[Math.floor(((at(b, v, channels) + 1) / 2) * set.length)];
      }),
    ),
    confidence: each((b) => array(voxels, (v) => Math.fround((at(b, v, channels + 1) + 1) / 2))),
  };
}

export function onDevice(device: Device, v: reference.Volumes, [d, h, w]: Size, channels: number) {
  const batch = v.labels.length;
  return {
    image: device.tensor([batch, d, h, w, channels], 'image', { data: v.image.flatMap((a) => [...a]) }),
    labels: u32(device, [batch, d, h, w], v.labels.flat()),
    confidence: device.tensor([batch, d, h, w], 'confidence', {
      dense: true,
      data: v.confidence.flatMap((a) => [...a]),
    }),
  };
}

/** The classes that occur, in order; labels that are none do not count. */
export const presentIn = (labels: number[], classes: number): number[] =>
  [...new Set(labels)].filter((label) => label < classes).sort((a, b) => a - b);
