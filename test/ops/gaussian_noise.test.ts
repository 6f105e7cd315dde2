import * as assert from 'uvu/assert';
import type { Device } from '../../engine/device.ts';
import { gaussianNoise } from '../../engine/ops/gaussian_noise.ts';
import { compute } from '../../engine/program.ts';
import { createStepCounters } from '../../engine/step_counters.ts';
import { rows } from '../../engine/tensor.ts';
import { assertClose } from '../compare.ts';
import { checkOp, gpuTest, run, upload } from '../harness.ts';
import { type Dense, random, zeros } from '../reference/dense.ts';
import { gaussianNoise as gaussianNoiseReference } from '../reference/gaussian_noise.ts';
import { streamNormals } from '../reference/intensity.ts';

const [SEED, STEP, STREAM] = [0xdeadbeef, 5, 0x80000123];

async function noise(device: Device, x: Dense, { sd = 0.1, limit = 0.2, step = STEP, stream = STREAM } = {}) {
  const image = upload(device, x, 'image', { grad: false });
  const counters = createStepCounters(device, SEED, step).tensor;
  const { y } = await compute(device, (rec) => ({ y: gaussianNoise(rec, image, { counters, stream, sd, limit }) }));
  return y;
}

// WGSL's sine, cosine and logarithm allow a normal an error of 4e-3.
for (const shape of [
  [2, 3, 4, 5, 1],
  [1, 3, 7, 5, 3],
  [3, 5, 2, 7, 6],
]) {
  gpuTest(`noise on [${shape}] equals the reference, both ways`, (device) => {
    const x = random(shape, 1);
    const { tensor: counters } = createStepCounters(device, SEED, STEP);
    return checkOp(device, 'gaussian_noise', {
      inputs: { x },
      op: (rec, t) => gaussianNoise(rec, t.x, { counters, stream: STREAM, sd: 0.1, limit: 0.2 }),
      expected: gaussianNoiseReference(x, streamNormals(shape, SEED, STEP, STREAM), 0.1, 0.2),
      gradients: (dy) => ({ x: dy }),
      tolerance: { absolute: 4e-4 },
    });
  });
}

gpuTest('it is clipped, has the moments of a clipped normal, and leaves the padding zero', async (device) => {
  const shape = [2, 20, 21, 22, 3];
  const values = await noise(device, zeros(shape));
  assert.ok(values.every((v) => Math.abs(v) <= Math.fround(0.2)));
  assert.ok(values.some((v) => v === Math.fround(0.2)) && values.some((v) => v === -Math.fround(0.2)));
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const variance = values.reduce((a, b) => a + b * b, 0) / values.length;
  // E clip(n, 2)^2 = 1 - 2 (2 phi(2) + (1 - 4) Q(2)) = 0.9206 with phi(2) = 0.05399, Q(2) = 0.02275; 55,440 draws.
  assert.ok(Math.abs(mean) < 0.002, `${mean}`);
  assert.ok(Math.abs(variance / 0.01 - 0.9206) < 0.02, `${variance}`);

  const image = upload(device, zeros(shape), 'image', { grad: false });
  const { tensor: counters } = createStepCounters(device, SEED, STEP);
  const { stored } = await compute(device, (rec) => {
    const y = gaussianNoise(rec, image, { counters, stream: STREAM, sd: 0.1, limit: 0.2 });
    return { stored: rec.reshape(y, [rows(y), y.pitch]) };
  });
  assert.ok(stored.every((v, i) => i % 4 !== 3 || v === 0));
});

gpuTest('another step or stream draws others, the same draw the same; amplitude 0 changes nothing', async (device) => {
  const x = random([1, 4, 5, 6, 1], 2);
  const first = await noise(device, x);
  assert.equal(await noise(device, x), first);
  assert.not.equal(await noise(device, x, { step: 6 }), first);
  assert.not.equal(await noise(device, x, { stream: 9 }), first);
  assertClose('none', await noise(device, x, { sd: 0 }), x, { absolute: 0, relative: 0 });
});

run();
