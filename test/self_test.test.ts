/** doctor's self-test: passes on a sound adapter, and finds one that computes wrongly. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { selfTest } from '../runner/commands/self_test.ts';
import { exit, openGpu } from '../runner/host/node.ts';
import { emulated, UNLIKE } from './ops/matrix_emulation.ts';

const gpu = await openGpu({ gpu: process.env.ACTION3D_GPU });

test('every check passes on this adapter', async () => {
  const lines = await selfTest(gpu);
  assert.equal(
    lines.filter(({ ok }) => !ok),
    [],
  );
  // F(4, 3) through a norm is the largest.
  assert.ok(lines.length >= 8 && lines.every(({ maxError }) => maxError < 1e-3));
});

test('matrix units of hardware are checked too, in both gradients', async () => {
  const unit = UNLIKE;
  const opened = { device: emulated(gpu.device, unit), software: false, matrixUnit: unit };
  const line = (await selfTest(opened)).find(({ name }) =>
    name.startsWith('conv3d 3x3x3 on matrix units of 8 x 4 x 16'),
  );
  assert.ok(line?.ok, JSON.stringify(line));
  const wrong = emulated(gpu.device, unit);
  const compile = wrong.createShaderModule.bind(wrong);
  const broken = new Proxy(wrong, {
    get: (target, key) => {
      if (key === 'createShaderModule')
        return (descriptor: GPUShaderModuleDescriptor) =>
          compile({ ...descriptor, code: descriptor.code.replace('&partial, ', '&partial, 4u + ') });
      const value = Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  const found = (await selfTest({ ...opened, device: broken })).filter(({ ok }) => !ok).map(({ name }) => name);
  assert.equal(found, [line?.name]);
});

test('a driver that computes exp wrongly is found, where exp is used', async () => {
  const compile = gpu.device.createShaderModule.bind(gpu.device);
  gpu.device.createShaderModule = (descriptor) =>
    compile({ ...descriptor, code: descriptor.code.replace(/\bexp\(/g, 'cos(') });
  const wrong = (await selfTest(gpu)).filter(({ ok }) => !ok).map(({ name }) => name);
  gpu.device.createShaderModule = compile;
  assert.ok(wrong.includes('softmax and its gradients'), wrong.join());
  assert.ok(wrong.includes('cross_entropy and its gradients'), wrong.join());
  assert.not.ok(
    wrong.some((name) => /conv|pool|relu|matmul/.test(name)),
    wrong.join(),
  );
});

test.after(() => {
  setTimeout(() => exit(Number(process.exitCode ?? 0)), 10);
});
test.run();
