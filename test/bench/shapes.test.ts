/** Shapes, samples, statistics, and times against a baseline: what needs no GPU. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { unetSettings } from '../../engine/nn/unet3d_config.ts';
import { unetSpecs } from '../../engine/nn/unet3d_specs.ts';
import {
  compareBaseline,
  failures,
  notTimedNow,
  parseBaseline,
  requireSameAdapter,
} from '../../runner/bench/baseline.ts';
import type { KernelRow } from '../../runner/bench/kernels.ts';
import { compare, noise, places, sampleCount } from '../../runner/bench/samples.ts';
import { defaultShapes, parseShapes, unetShapes } from '../../runner/bench/shapes.ts';
import { median, quantile } from '../../runner/bench/statistics.ts';
import { share } from '../../runner/commands/arguments.ts';
import { TINY } from './tiny_shapes.ts';

test('median and quantile', () => {
  assert.is(median([3, 1, 2]), 2);
  assert.is(median([4, 1, 2, 3]), 2.5);
  const values = Array.from({ length: 20 }, (_, i) => 20 - i);
  assert.equal(
    [quantile(values, 0.95), quantile(values, 1), quantile([7], 0.95), quantile(values, 0.5)],
    [19, 20, 7, 10],
  );
});

test('a comparison lets float32 pass and nothing more', () => {
  const expected = [1, -2, 4];
  const sampled = { at: [0, 2, 3], expected, terms: 100 };
  // 1e-6 + 8 * 10 * 2^-24 of 4
  const tolerance = 4 * (1e-6 + 80 / 2 ** 24);
  assert.ok(Math.abs(compare([1, 9, -2, 4], sampled).tolerance - tolerance) < 1e-15);
  assert.equal(compare([1, 9, -2, 4], sampled).error, 0);
  assert.is(compare([1 + 0.9 * tolerance, 9, -2, 4], sampled).ok, true);
  assert.is(compare([1, 9, -2, 4 + 1.1 * tolerance], sampled).ok, false);
  assert.is(compare([1, 9, Number.NaN, 4], sampled).ok, false);
  assert.is(compare([1, 9], sampled).ok, false, 'results that are not there');
});

test('samples include the first and the last place, are no more than there are, and fewer where sums are long', () => {
  assert.equal(places(1, 10), [0]);
  const few = places(3, 10);
  assert.ok(few.includes(0) && few.includes(2) && few.every((i) => [0, 1, 2].includes(i)));
  assert.is(new Set(few).size, few.length);
  const many = places(1_000_000, 256);
  assert.ok(many.includes(0) && many.includes(999_999) && many.length > 250);
  assert.equal([sampleCount(1), sampleCount(10_000), sampleCount(1e9)], [256, 200, 8]);
  const values = noise(10_000, 3);
  assert.ok(values.every((v) => v >= -1 && v < 1));
  assert.ok(Math.abs(values.reduce((a, b) => a + b, 0)) < 3 * Math.sqrt(10_000 / 3));
});

test("a U-Net's shapes are those of its weights", () => {
  const channels = [8, 16, 32, 64];
  const specs = unetSpecs(unetSettings({ inChannels: 1, classes: 3, channels }));
  const weights = (names: RegExp) =>
    new Set(specs.filter(({ name }) => names.test(name)).map(({ shape }) => shape.slice(3).join(' ')));
  const shapes = unetShapes(channels, 2, [32, 48, 32]);
  const of = (op: string) =>
    new Set(shapes.filter((shape) => shape.op === op).map(({ input, out }) => `${input[4]} ${out}`));
  assert.equal([...of('conv3d')].sort(), [...weights(/(conv|head)\.weight$/)].sort());
  assert.equal([...of('conv_transpose3d')].sort(), [...weights(/up\.weight$/)].sort());
  assert.ok(shapes.some(({ op, input }) => op === 'sgd' && input[0] > 350_000 && input[0] < 352_000));
  for (const [software, matrixUnit] of [
    [true, true],
    [false, false],
    [false, true],
  ]) {
    const list = defaultShapes(software, matrixUnit);
    assert.is(
      list.some(({ op }) => op === 'conv3d_f16'),
      matrixUnit && !software,
    );
    assert.equal(parseShapes(JSON.parse(JSON.stringify(list)), 'shapes.json'), list);
    const keys = list.map(({ op, name }) => `${op} ${name}`);
    assert.is(new Set(keys).size, keys.length, 'a name for each, or a baseline could not find it');
  }
});

test('a file of shapes is refused with every mistake it has', () => {
  const refused = (value: unknown, message: RegExp) =>
    assert.throws(
      () => parseShapes(value, 's.json'),
      (failure: Error & { exitCode: number }) => {
        assert.match(failure.message, message);
        return failure.exitCode === 4;
      },
    );
  assert.equal(parseShapes(TINY, 's.json'), TINY);
  refused({}, /^s\.json is no list of shapes/);
  refused([], /s\.json/);
  refused([{ ...TINY[0], op: 'fft' }], /0\.op/);
  refused([{ ...TINY[0], size: 3 }], /size/);
  refused(
    [
      { op: 'conv3d', name: 'x', input: [1, 2, 3], out: 4 },
      { op: 'norm', name: 'y', input: [1, 2, 3, 4, 5], out: 6 },
    ],
    /entry 0: conv3d takes an input of 5 axes; entry 1: norm has no 'out'/,
  );
});

const place = { adapter: 'Some GPU', backend: 'vulkan' };
const row = (name: string, ms: number | null, error = 0): KernelRow => ({
  ...{ op: 'conv3d', name, size: '1x2', pass: 'forward', commands: 1, flops: 1, bytes: 1 },
  check: { tensor: 'y', samples: 1, error, tolerance: 1e-6, ok: error === 0 },
  timing: ms === null ? null : { ms, aloneMs: ms, runs: 1, samples: 1 },
  ...{ flopsPerSecond: 1, bytesPerSecond: 1, ofFma: 1, ofCopy: 1 },
});

test('a row has regressed where it is slower by more than is allowed', () => {
  const baseline = parseBaseline({ place, rows: [row('a', 10), row('b', 10), row('c', null), row('d', 10)] }, 'b.json');
  const now = [row('a', 11), row('b', 11.1), row('c', 5), row('new', 5), row('d', null, 0.5)];
  const compared = compareBaseline(now, baseline, 0.1, 'b.json');
  assert.equal(
    compared.map((item) => [item.row, item.baselineMs, item.ms, item.regressed, item.change.toFixed(3)]),
    [
      ['conv3d a forward', 10, 11, false, '0.100'],
      ['conv3d b forward', 10, 11.1, true, '0.110'],
    ],
  );
  assert.equal(failures(now, compared, 0.1), [
    'conv3d d forward is wrong: y is off by 5.0e-1 where 1.0e-6 is allowed',
    'conv3d b forward takes 11.1 ms instead of 10.0, 11 % more (--max-regress 10 %)',
  ]);
  assert.equal(
    compareBaseline(now, baseline, 0.2, 'b.json').filter(({ regressed }) => regressed),
    [],
  );
  assert.equal(notTimedNow(now, baseline), ['conv3d d forward']);
  assert.equal(notTimedNow([row('b', 1), row('d', 1), row('e', 1)], baseline), ['conv3d a forward']);
  const resized = { ...row('a', 99), size: '9x9' };
  assert.throws(() => compareBaseline([resized], baseline, 0.1, 'b.json'), /b\.json has none of the kernels/);
});

test('a baseline of another adapter, or no baseline at all, is refused', () => {
  const baseline = parseBaseline({ place, rows: [] }, 'b.json');
  requireSameAdapter(baseline, place, 'b.json');
  assert.throws(
    () => requireSameAdapter(baseline, { ...place, adapter: 'Other' }, 'b.json'),
    /b\.json was measured on Some GPU \(vulkan\) and this is Other \(vulkan\)/,
  );
  assert.throws(() => parseBaseline({ rows: [] }, 'b.json'), /b\.json is no baseline: place is undefined/);
  assert.throws(() => parseBaseline([], 'b.json'), /b\.json is no baseline/);
});

test('a share is a percentage or a number up to 1', () => {
  assert.equal(['10%', '0.1', '0', '250 %', '.5'].map(share), [0.1, 0.1, 0, 2.5, 0.5]);
  for (const word of ['10', '-1%', 'much', '', '%']) assert.throws(() => share(word), /share such as 10%/, word);
});

test.run();
