/** What adapters that compute on a CPU are given by default: kernels without barriers, at which they would switch threads. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Device, type DeviceTraits } from '../../engine/device.ts';
import { dryGpu } from '../../engine/dry_gpu.ts';
import { stepConfig } from '../../runner/bench/synthetic.ts';
import { METHODS, type Precision } from '../../runner/train/config.ts';
import { forecastTraining } from '../../runner/train/forecast.ts';
import { LIMITS } from '../dry_limits.ts';
import { run } from '../harness.ts';

const DATASET = { channels: [{ name: 'MRI' }], labels: [0, 1].map((value) => ({ name: `${value}`, value })) };
const CASE = { shape: [20, 20, 20], spacing: [1, 1, 1] } as const;
const GRIDS = { labelled: [CASE, CASE], unlabelled: [CASE, CASE], validation: [CASE] };

/** Every kernel that trainings by all methods and their predictions compile. */
async function kernelsOf(traits: DeviceTraits, precision: Precision): Promise<GPUShaderModuleDescriptor[]> {
  const kernels: GPUShaderModuleDescriptor[] = [];
  const gpu = dryGpu(LIMITS);
  const { createShaderModule } = gpu;
  gpu.createShaderModule = (descriptor) => {
    kernels.push(descriptor);
    return createShaderModule(descriptor);
  };
  const device = new Device(gpu, traits);
  for (const method of METHODS) {
    const config = stepConfig(method, { patch: [16, 16, 16], batch: 2, channels: [8, 16, 32], precision });
    await forecastTraining(device, config, DATASET, GRIDS, 0);
  }
  return kernels;
}

const withBarriers = (kernels: readonly GPUShaderModuleDescriptor[]) =>
  kernels.filter(({ code }) => /Barrier\s*\(|workgroupUniformLoad/.test(code)).map(({ label }) => label);

for (const kind of ['llvmpipe', 'swiftshader']) {
  for (const precision of ['fp32', 'mixed'] as const) {
    test(`${kind}, ${precision}: no kernel has a barrier`, async () => {
      const kernels = await kernelsOf({ software: true, kind }, precision);
      assert.ok(kernels.length > 80, `${kernels.length} kernels`);
      assert.equal(withBarriers(kernels), []);
    });
  }
}

test('those of GPUs do have some, so that one would be seen', async () => {
  assert.ok(withBarriers(await kernelsOf({ software: false }, 'fp32')).length > 5);
});

run();
