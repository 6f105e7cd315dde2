import * as assert from 'uvu/assert';
import type { Device } from '../../engine/device.ts';
import { INTENSITY_PARAMS, type IntensitySample, intensity, packIntensity } from '../../engine/ops/intensity.ts';
import { compute } from '../../engine/program.ts';
import { createStepCounters } from '../../engine/step_counters.ts';
import { rows } from '../../engine/tensor.ts';
import { assertClose } from '../compare.ts';
import { gpuTest, run, traits, upload } from '../harness.ts';
import { type Dense, random, zeros } from '../reference/dense.ts';
import { intensity as intensityReference, streamNormals } from '../reference/intensity.ts';

const OFF: IntensitySample = { contrast: 0, brightness: 0, gamma: 0, sigma: 0, noise: 0 };
const SEED = 0xdeadbeef;
const STREAM = 0x80000010;

interface Draw {
  step?: number;
  seed?: number;
  stream?: number;
  blur?: boolean;
}

async function jittered(device: Device, x: Dense, samples: readonly IntensitySample[], draw: Draw = {}) {
  const { step = 5, seed = SEED, stream = STREAM, blur } = draw;
  const row = new Float32Array(samples.length * INTENSITY_PARAMS).fill(7);
  for (const [b, sample] of samples.entries()) packIntensity(row, b, sample);
  const params = device.tensor([samples.length, INTENSITY_PARAMS], 'params', { dense: true, data: row });
  const image = upload(device, x, 'image', { grad: false });
  const { tensor } = createStepCounters(device, seed, step);
  const { stored } = await compute(device, (rec) => {
    rec.constant(rec.tensor([x.data.length, 4], 'stale'), 1e30);
    const y = intensity(rec, image, params, tensor, { stream, blur });
    return { stored: rec.reshape(y, [rows(y), y.pitch]) };
  });
  const width = x.shape[4];
  const pitch = Math.ceil(width / 4) * 4;
  const y = new Float32Array(x.data.length);
  stored.forEach((value, i) => {
    const c = i % pitch;
    if (c < width) y[Math.floor(i / pitch) * width + c] = value;
    else if (value !== 0) assert.unreachable(`stored element ${i}, behind the last channel, is ${value}`);
  });
  return y;
}

/** float32 values of a sample, as the device gets them. */
function rounded(sample: IntensitySample): IntensitySample {
  const { contrast, brightness, gamma, sigma, noise } = sample;
  const f = Math.fround;
  return {
    contrast: f(contrast),
    brightness: f(brightness),
    gamma: f(gamma),
    sigma: f(sigma),
    noise: f(noise),
  };
}

async function check(device: Device, name: string, x: Dense, samples: readonly IntensitySample[], draw: Draw = {}) {
  const exact = samples.map(rounded);
  const normals = streamNormals(x.shape, draw.seed ?? SEED, draw.step ?? 5, draw.stream ?? STREAM);
  const largest = Math.max(...samples.map(({ noise }) => noise));
  const actual = await jittered(device, x, samples, draw);
  // WGSL's sine, cosine and logarithm allow a normal an error of 4e-3; log2 and exp2 of gamma one of a few 1e-6.
  assertClose(name, actual, intensityReference(x, exact, normals), { absolute: 2e-5 + 4e-3 * largest, terms: 64 });
}

/** What gamma restores is measured by workgroups on GPUs. */
const FAMILIES = { '': traits, ' (GPU kernels)': { software: false } };

const GAMMAS: IntensitySample[] = [
  { ...OFF, gamma: 0.6, contrast: 0.25, brightness: -0.1 },
  { ...OFF, contrast: -0.3, brightness: 0.3 },
  { ...OFF, gamma: 1.6 },
];

gpuTest('with everything off the image comes out bit for bit, with and without the blur passes', async (device) => {
  const x = random([2, 3, 4, 5, 3], 1);
  for (const blur of [true, false]) assert.equal([...(await jittered(device, x, [OFF, OFF], { blur }))], [...x.data]);
});

for (const shape of [
  [3, 4, 5, 6, 1],
  [3, 3, 7, 5, 3],
  [3, 5, 2, 7, 6],
]) {
  for (const [family, as] of Object.entries(FAMILIES)) {
    const name = `gamma [${shape}] per sample and channel, beside a sample without${family}`;
    gpuTest(name, (device) => check(device, name, random(shape, 2), GAMMAS, { blur: false }), as);
  }
  gpuTest(`everything [${shape}] equals the reference`, (device) =>
    check(device, 'everything', random(shape, 3), [
      { contrast: 0.1, brightness: -0.2, gamma: 1.3, sigma: 0.9, noise: 0.2 },
      { contrast: -0.2, brightness: 0.1, gamma: 0, sigma: 0, noise: 0.1 },
      { contrast: 0.3, brightness: 0, gamma: 0.7, sigma: 0.5, noise: 0 },
    ]),
  );
}

async function manyChunks(device: Device): Promise<void> {
  const x = random([2, 20, 31, 42, 1], 4);
  const voxels = x.data.length / 2;
  for (let i = 0; i < voxels; i++) x.data[i] = Math.fround(x.data[i] + 100);
  const samples = [
    { ...OFF, gamma: 1.5 },
    { ...OFF, gamma: 0.65 },
  ];
  const actual = await jittered(device, x, samples, { blur: false });
  const expected = intensityReference(x, samples.map(rounded), zeros(x.shape));
  // Around 100 a float32 is good to 4e-6, which the range of 2 and the exponent make a few times larger.
  const part = (b: number) => ({ shape: [voxels], data: expected.data.subarray(b * voxels, (b + 1) * voxels) });
  assertClose('sample 0', actual.subarray(0, voxels), part(0), { absolute: 2e-4 });
  assertClose('sample 1', actual.subarray(voxels), part(1), { absolute: 2e-5 });
  const moments = (values: ArrayLike<number>) => {
    const all = Array.from(values);
    const mean = all.reduce((a, b) => a + b, 0) / all.length;
    return [mean, Math.sqrt(all.reduce((a, b) => a + (b - mean) ** 2, 0) / all.length)];
  };
  const before = moments(x.data.subarray(voxels));
  moments(actual.subarray(voxels)).forEach((value, k) => {
    assert.ok(Math.abs(value - before[k]) < 1e-5, `${value} ${before[k]}`);
  });
}

for (const [family, as] of Object.entries(FAMILIES)) {
  gpuTest(`gamma over many chunks keeps mean and deviation, far from zero too${family}`, manyChunks, as);
}

gpuTest('a constant patch stays constant under gamma', async (device) => {
  const x = zeros([1, 3, 4, 5, 2]);
  x.data.fill(1.5);
  const y = await jittered(device, x, [{ ...OFF, gamma: 0.7 }]);
  assertClose('constant', y, x, { absolute: 1e-6 });
});

for (const shape of [
  [2, 9, 8, 10, 2],
  [2, 1, 2, 3, 1],
]) {
  gpuTest(`blur [${shape}]: edges repeated, also on axes shorter than the radius; sigma 0 copies`, async (device) => {
    const x = random(shape, 6);
    await check(device, 'blur', x, [
      { ...OFF, sigma: 1.15 },
      { ...OFF, sigma: 0.4 },
    ]);
    const half = x.data.length / 2;
    const copied = await jittered(device, x, [{ ...OFF, sigma: 1 }, OFF]);
    assert.equal([...copied.subarray(half)], [...x.data.subarray(half)]);
    assert.is.not(copied.subarray(0, half).join(), x.data.subarray(0, half).join());
  });
}

gpuTest('noise: mean 0, the deviation of each sample, no correlation between neighbours', async (device) => {
  const sds = [0.3, 0.05];
  const shape = [2, 16, 24, 20, 1];
  const noise = await jittered(
    device,
    zeros(shape),
    sds.map((sd) => ({ ...OFF, noise: sd })),
    { blur: false },
  );
  const n = noise.length / 2;
  const units = sds.map((sd, b) => Array.from(noise.subarray(b * n, (b + 1) * n), (v) => v / sd));
  const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;
  // Four standard errors each: of a mean 1 / sqrt(n), of a variance sqrt(2 / n), of a fourth moment sqrt(96 / n).
  for (const z of units) {
    assert.ok(Math.abs(mean(z)) < 4 / Math.sqrt(n), `mean ${mean(z)}`);
    const variance = mean(z.map((v) => v * v));
    assert.ok(Math.abs(variance - 1) < 4 * Math.sqrt(2 / n), `variance ${variance}`);
    const fourth = mean(z.map((v) => v ** 4));
    assert.ok(Math.abs(fourth - 3) < 4 * Math.sqrt(96 / n), `fourth moment ${fourth}`);
    for (const lag of [1, 20, 480]) {
      const product = mean(z.slice(lag).map((v, i) => v * z[i]));
      assert.ok(Math.abs(product) < 4 / Math.sqrt(n - lag), `correlation ${product} at distance ${lag}`);
    }
  }
  const between = mean(units[0].map((v, i) => v * units[1][i]));
  assert.ok(Math.abs(between) < 4 / Math.sqrt(n), `correlation between samples ${between}`);
});

gpuTest('noise is named by seed, step and stream: the same ones repeat, others do not', async (device) => {
  const x = zeros([1, 3, 4, 5, 2]);
  const noise = (draw: Draw) => jittered(device, x, [{ ...OFF, noise: 1 }], draw);
  const base = (await noise({})).join();
  assert.ok((await noise({})).join() === base);
  assert.ok((await noise({ blur: false })).join() === base, 'the blur passes change nothing');
  for (const other of [{ step: 6 }, { seed: 1 }, { stream: STREAM + 16 }])
    assert.ok((await noise(other)).join() !== base, JSON.stringify(other));
});

gpuTest('params of another batch are refused', async (device) => {
  await jittered(device, random([2, 2, 2, 2, 1], 1), [OFF]).then(
    () => assert.unreachable(),
    (e: Error) => assert.match(e.message, /params 'params' \[1, 8\] must be \[2, 8\]/),
  );
});

run();
