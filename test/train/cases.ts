import type { Triple } from '../../engine/shape.ts';
import type { Prepared } from '../../runner/data/preprocess.ts';
import { random } from '../reference/dense.ts';

/** A case of noise in which a cube of the middle is class 1, and brighter. */
export function noiseCase(shape: Triple, seed: number, channels = 1): Prepared {
  const voxels = shape[0] * shape[1] * shape[2];
  const image = Float32Array.from(random([channels * voxels], seed).data);
  const label = new Uint8Array(voxels);
  for (let i = 0; i < voxels; i++) {
    const at = [Math.floor(i / (shape[1] * shape[2])), Math.floor(i / shape[2]) % shape[1], i % shape[2]];
    if (!at.every((v, a) => v >= shape[a] / 4 && v < (3 * shape[a]) / 4)) continue;
    label[i] = 1;
    image[i] += 2;
  }
  return { id: `noise${seed}`, channels, shape, image, label, spacing: [1, 1, 1], constantChannels: [] };
}
