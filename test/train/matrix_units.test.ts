/** `precision: matrix` with its real rounding, on any adapter: trainings on emulated matrix units. */
import * as assert from 'uvu/assert';
import type { Device } from '../../engine/device.ts';
import type { Triple } from '../../engine/shape.ts';
import { PRECISIONS, type Precision } from '../../runner/train/config.ts';
import { gpuTest, run, traits } from '../harness.ts';
import { emulated, LAVAPIPE } from '../ops/matrix_emulation.ts';
import { firstSteps, tinyStages } from './tiny_stages.ts';

/** Small, and still such that no convolution but the first, of one channel, wastes so much of a unit that it goes without. */
const SIZE = { channels: [8, 16], patch: [8, 8, 8] as Triple };

/** A test on emulated units, and that these were used, forwards and backwards. */
function unitTest(name: string, body: (device: Device) => Promise<void>): void {
  const compiled: string[] = [];
  const checked = async (device: Device) => {
    await body(device);
    for (const kernel of [/^pack_weights_matrix/, /^conv3d_matrix_333/, /^conv3d_grad_weight_matrix_333/])
      assert.ok(
        compiled.some((label) => kernel.test(label)),
        `no ${kernel} among ${compiled}`,
      );
  };
  const wrap = (gpu: GPUDevice) => emulated(gpu, LAVAPIPE, (label) => compiled.push(label));
  gpuTest(name, checked, { ...traits, matrixUnit: LAVAPIPE, wrap });
}

for (const method of ['supervised', 'action'] as const) {
  unitTest(`${method}: losses of float32 within 1 %, other ones than those of mixed`, async (device) => {
    const [full, mixed, matrix] = PRECISIONS.map((precision) => tinyStages(method, precision, SIZE));
    for (const [i, stage] of matrix.entries()) {
      const { losses } = await firstSteps(device, stage, 2);
      const exact = (await firstSteps(device, full[i], 2)).losses;
      losses.forEach((loss, step) => {
        const message = `stage ${stage.name}, step ${step}: ${loss}, in float32 ${exact[step]}`;
        assert.ok(Math.abs(loss - exact[step]) < 0.01 * Math.abs(exact[step]), message);
      });
      assert.not.equal(losses, exact, `stage ${stage.name}: rounding must show`);
      assert.not.equal(losses, (await firstSteps(device, mixed[i], 2)).losses, `stage ${stage.name}: as mixed rounds`);
    }
  });
}

unitTest('over 60 steps a run learns what a float32 run learns', async (device) => {
  const last = async (precision: Precision) => {
    const { losses } = await firstSteps(device, tinyStages('supervised', precision, SIZE)[0], 60);
    assert.ok(losses[0] > 0.3, `${precision} begins with ${losses[0]}`);
    return losses.slice(-20).reduce((sum, loss) => sum + loss / 20, 0);
  };
  const [full, matrix] = [await last('fp32'), await last('matrix')];
  assert.ok(
    full < 0.2 && Math.abs(matrix - full) < 0.1 * full,
    `mean of the last losses: ${matrix}, in float32 ${full}`,
  );
});

run();
