import type { Device } from '../../engine/device.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { random } from '../reference/dense.ts';

/** Labels 0..classes-1 with about one in `ignoreEvery` replaced by -1, which is stored as 4294967295. */
export function randomLabels(count: number, classes: number, seed: number, ignoreEvery = 7): Int32Array {
  const draws = random([count, 2], seed).data;
  return Int32Array.from({ length: count }, (_, i) => {
    const ignored = (draws[2 * i + 1] + 1) / 2 < 1 / ignoreEvery;
    return ignored ? -1 : Math.floor(((draws[2 * i] + 1) / 2) * classes);
  });
}

/** Labels on the device: dense u32, -1 wrapped around. */
export function uploadLabels(device: Device, shape: readonly number[], labels: ArrayLike<number>): Tensor {
  return device.tensor(shape, 'labels', { dtype: 'u32', dense: true, data: labels });
}
