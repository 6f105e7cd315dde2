import * as assert from 'uvu/assert';
import { INTENSITY_PARAMS, packIntensity } from '../../engine/ops/intensity.ts';
import { drawIntensity, IntensityStream } from '../../runner/data/augment_intensity.ts';
import { HOST_STREAMS, NOISE_STREAMS, STREAM_BLOCK, sampleStream } from '../../runner/data/augment_streams.ts';
import { gpuTest, run } from '../harness.ts';
import { assertUniform, histogram } from './chi_squared.ts';

const COUNT = 4000;
const draws = (strength: number) =>
  Array.from({ length: COUNT }, (_, step) => drawIntensity(sampleStream(3, 18, step, 0), strength));

for (const strength of [1, 1.5]) {
  gpuTest(`strength ${strength}: every part uniform within its range, in half of the samples`, async () => {
    const all = draws(strength);
    const uniform = (name: string, values: number[], low: number, high: number) =>
      assertUniform(`${name} at ${strength}`, histogram(values, low, high, 12));
    const half = (name: string, values: number[]) => assertUniform(name, [values.length, COUNT - values.length]);
    const on = (pick: (draw: (typeof all)[number]) => number) => all.map(pick).filter((v) => v > 0);

    uniform(
      'contrast',
      all.map((draw) => draw.contrast),
      -0.2 * strength,
      0.2 * strength,
    );
    uniform(
      'brightness',
      all.map((draw) => draw.brightness),
      -0.2 * strength,
      0.2 * strength,
    );
    const gamma = on((draw) => draw.gamma).map(Math.log);
    half('gamma', gamma);
    uniform('log gamma', gamma, -0.35 * strength, 0.35 * strength);
    const noise = on((draw) => draw.noise);
    half('noise', noise);
    uniform('noise', noise, 0, 0.15 * strength);
    const sigma = on((draw) => draw.sigma);
    if (strength === 1) {
      assert.is(sigma.length, 0);
    } else {
      half('blur', sigma);
      uniform('sigma', sigma, 0.4, 1.15);
    }
  });
}

gpuTest('strength 0 changes nothing', async () => {
  assert.equal(drawIntensity(sampleStream(3, 18, 0, 0), 0), {
    contrast: 0,
    brightness: 0,
    gamma: 0,
    sigma: 0,
    noise: 0,
  });
});

gpuTest('a stream uploads what it draws, a function of seed, stream, step and sample', async (device) => {
  const make = (change = {}) =>
    new IntensityStream(device, { batch: 3, seed: 4, stream: HOST_STREAMS.studentIntensity, strength: 1.5, ...change });
  const stream = make();
  stream.upload(1);
  const samples = stream.upload(9);
  const expected = new Float32Array(3 * INTENSITY_PARAMS);
  for (const [b, sample] of samples.entries()) packIntensity(expected, b, sample);
  assert.equal(await device.read(stream.params), expected);
  assert.equal(make().draw(9), samples);
  const contrasts = [make(), make({ seed: 5 }), make({ stream: HOST_STREAMS.teacherIntensity })].flatMap((s) =>
    s.draw(9),
  );
  assert.is(new Set([...contrasts, ...stream.draw(10)].map(({ contrast }) => contrast)).size, 12);
  assert.is(stream.blur, true);
  assert.is(make({ strength: 1 }).blur, false);
});

gpuTest('stream numbers differ, host and device ones cannot meet', async () => {
  const host = Object.values(HOST_STREAMS);
  const device = Object.values(NOISE_STREAMS);
  assert.is(new Set(host).size, host.length);
  assert.ok(host.every((id) => (id + 1) * 4096 < 2 ** 31));
  assert.ok(
    device.every(
      (number, i) =>
        number >= 2 ** 31 && device.every((other, j) => i === j || Math.abs(number - other) >= STREAM_BLOCK),
    ),
  );
});

run();
