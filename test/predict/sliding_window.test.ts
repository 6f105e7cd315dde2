import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Parameters } from '../../engine/nn/parameters.ts';
import { unet3d } from '../../engine/nn/unet3d.ts';
import { compute } from '../../engine/program.ts';
import type { Triple } from '../../engine/shape.ts';
import { slidingWindow } from '../../runner/predict/sliding_window.ts';
import { axisPositions, windowPositions } from '../../runner/predict/window_positions.ts';
import { assertClose } from '../compare.ts';
import { gpuTest, run } from '../harness.ts';
import { random } from '../reference/dense.ts';

test('windows start at both ends, evenly, at most (1 - overlap) patches apart', () => {
  assert.equal(axisPositions(35, 32, 0.5), [0, 3]);
  assert.equal(axisPositions(32, 32, 0.5), [0]);
  assert.equal(axisPositions(100, 32, 0.5), [0, 14, 27, 41, 54, 68]);
  assert.equal(axisPositions(64, 32, 0), [0, 32]);
  assert.equal(axisPositions(20, 32, 0.5), [-6]);
});

const patch: Triple = [4, 8, 4];
const network = unet3d({ inChannels: 1, classes: 3, channels: [4, 8] });

/** The same sums in float64 from single passes of the network. */
async function byHand(
  device: Parameters['device'],
  parameters: Parameters,
  data: Float32Array,
  shape: Triple,
  flips: number[],
) {
  const [depth, height, width] = shape;
  const sums = new Float64Array(depth * height * width * 3);
  const clamp = (at: number, size: number) => Math.min(size - 1, Math.max(0, at));
  for (const [z0, y0, x0] of windowPositions(shape, patch, 0.5)) {
    for (const flags of flips) {
      const at = (p: number[]) => p.map((q, a) => ((flags >> a) & 1 ? patch[a] - 1 - q : q));
      const voxels: number[][] = [];
      for (let z = 0; z < patch[0]; z++)
        for (let y = 0; y < patch[1]; y++) for (let x = 0; x < patch[2]; x++) voxels.push([z, y, x]);
      const image = voxels.map((p) => {
        const [z, y, x] = at(p);
        return data[(clamp(z0 + z, depth) * height + clamp(y0 + y, height)) * width + clamp(x0 + x, width)];
      });
      const input = device.tensor([1, ...patch, 1], 'input', { data: image });
      const { logits } = await compute(device, (rec) => ({
        logits: network.forward(rec, parameters, input, { training: false }).logits,
      }));
      voxels.forEach((p, i) => {
        const [z, y, x] = at(p).map((q, a) => q + [z0, y0, x0][a]);
        if (z < 0 || z >= depth || y < 0 || y >= height || x < 0 || x >= width) return;
        const e = [0, 1, 2].map((c) => Math.exp(logits[i * 3 + c]));
        const total = e[0] + e[1] + e[2];
        const weight = Math.exp(
          -0.5 * p.reduce((sum, q, a) => sum + ((q - (patch[a] - 1) / 2) / (0.25 * patch[a])) ** 2, 0),
        );
        e.forEach((value, c) => {
          sums[((z * height + y) * width + x) * 3 + c] += (weight * value) / total;
        });
      });
    }
  }
  return sums;
}

for (const [shape, tta] of [
  [[5, 9, 7], false],
  [[3, 11, 4], false],
  [[6, 8, 5], true],
] as [Triple, boolean][]) {
  gpuTest(
    `sliding window over [${shape}]${tta ? ' with mirroring' : ''} equals single passes added by hand`,
    async (device) => {
      const parameters = Parameters.create(device, network.specs, { trainable: false, seed: 3 });
      const voxels = shape[0] * shape[1] * shape[2];
      const data = Float32Array.from(random([voxels], 9).data);
      const sums = await byHand(device, parameters, data, shape, tta ? [0, 1, 2, 3, 4, 5, 6, 7] : [0]);
      const expected = new Float64Array(3 * voxels);
      for (let v = 0; v < voxels; v++) {
        const total = sums[v * 3] + sums[v * 3 + 1] + sums[v * 3 + 2];
        for (let c = 0; c < 3; c++) expected[c * voxels + v] = sums[v * 3 + c] / total;
      }
      for (const batch of [1, 3]) {
        const got = await slidingWindow(device, network, parameters, { data, shape, channels: 1 }, patch, {
          tta,
          batch,
          probabilities: true,
        });
        assertClose('probabilities', got.probabilities!, { shape: [3, ...shape], data: expected }, { absolute: 1e-5 });
        got.labels.forEach((label, v) => {
          const scores = [0, 1, 2].map((c) => got.probabilities![c * voxels + v]);
          assert.ok(scores[label] >= Math.max(...scores) - 1e-6, `voxel ${v} is ${label}, scores ${scores}`);
        });
      }
    },
  );
}

run();
