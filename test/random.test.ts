import * as assert from 'uvu/assert';
import { kernel } from '../engine/kernel.ts';
import { compute } from '../engine/program.ts';
import { pcg4d, Stream, unit } from '../engine/random.ts';
import { random } from '../shaders/shared/random.ts';
import { flatIndex, flatMain, wgsl } from '../shaders/shared/wgsl.ts';
import { assertClose } from './compare.ts';
import { gpuTest, run } from './harness.ts';

const COUNT = 4096;
const KEY = [0xfedcba98, 7, 0x80000001];

/** y[i] = expression of pcg4d(vec4u(KEY, i)). */
const draws = (expression: string) =>
  kernel(
    'draws',
    wgsl`
struct Params { seed: u32, step: u32, stream: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;
${random}
${flatIndex}
${flatMain}
  if (i >= ${COUNT}u) { return; }
  let words = pcg4d(vec4u(p.seed, p.step, p.stream, i));
  y[i] = ${expression};
}
`,
  );

const host = Array.from({ length: COUNT }, (_, i) => pcg4d(KEY[0], KEY[1], KEY[2], i));
const params = { seed: KEY[0], step: KEY[1], stream: KEY[2] };

gpuTest('pcg4d: host and device draw the same words, bit for bit', async (device) => {
  for (const [shift, mask] of [
    [0, 0xffff],
    [16, 0xffff],
  ]) {
    const { y } = await compute(device, (rec) => {
      const y = rec.tensor([COUNT, 4], 'halves');
      rec.dispatch(draws(`vec4f((words >> vec4u(${shift}u)) & vec4u(${mask}u))`), { y }, params, COUNT);
      return { y };
    });
    assert.equal(
      [...y],
      host.flat().map((word) => (word >>> shift) & mask),
    );
  }
});

gpuTest('unit4 equals the host exactly; normal4 is Box and Muller of it', async (device) => {
  const { units, normals } = await compute(device, (rec) => {
    const units = rec.tensor([COUNT, 4], 'units');
    rec.dispatch(draws('unit4(words)'), { y: units }, params, COUNT);
    const normals = rec.tensor([COUNT, 4], 'normals');
    rec.dispatch(draws('normal4(words)'), { y: normals }, params, COUNT);
    return { units, normals };
  });
  assert.equal([...units], host.flat().map(unit));
  const expected = host.flatMap(([a, b, c, d]) =>
    [
      [a, b],
      [c, d],
    ].flatMap(([r, t]) => {
      const radius = Math.sqrt(-2 * Math.log(1 - unit(r)));
      const angle = 2 * Math.PI * unit(t);
      return [radius * Math.cos(angle), radius * Math.sin(angle)];
    }),
  );
  // WGSL allows sine and cosine an error of 2^-11, the logarithm one of 2^-21 near 1.
  assertClose('normal4', normals, { shape: [COUNT, 4], data: expected }, { absolute: 4e-3 });
  const n = normals.length;
  const mean = normals.reduce((a, b) => a + b, 0) / n;
  const variance = normals.reduce((a, b) => a + b * b, 0) / n - mean ** 2;
  // Standard errors: 1 / sqrt(n) = 0.0078 and sqrt(2 / n) = 0.011; four of each.
  assert.ok(Math.abs(mean) < 0.032 && Math.abs(variance - 1) < 0.045, `mean ${mean}, variance ${variance}`);
});

gpuTest('host streams: every stream and substream starts elsewhere, the same one repeats', async () => {
  const take = (stream: Stream) => Array.from({ length: 8 }, () => stream.word()).join();
  assert.is(take(new Stream(1, 2, 3)), take(new Stream(1, 2, 3)));
  const keys = [new Stream(1, 2, 3), new Stream(0, 2, 3), new Stream(1, 0, 3), new Stream(1, 2, 0)].map(take);
  assert.is(new Set(keys).size, 4);
});

run();
