import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DataError, UsageError } from '../../engine/errors.ts';
import type { Triple } from '../../engine/shape.ts';
import { type Preprocessing, preprocess } from '../../runner/data/preprocess.ts';
import { resampleNearest, resampleTo, targetGrid } from '../../runner/data/resample.ts';
import { assertClose } from '../compare.ts';
import { random } from '../reference/dense.ts';
import { volumeOf, voxels } from './volumes.ts';

const Z_SCORE: Preprocessing = { spacing: null, normalisation: 'z-score' };

test('resampling keeps the world position: a linear ramp in millimetres stays one', () => {
  const from: Triple = [7, 10, 9];
  const spacing: Triple = [3, 0.8, 1.25];
  const grid = targetGrid({ shape: from, spacing }, [1, 1, 1]);
  assert.equal(grid.shape, [21, 8, 11]);
  grid.shape.forEach((n, axis) => {
    assert.ok(Math.abs(n * grid.spacing[axis] - from[axis] * spacing[axis]) < 1e-9, `extent of axis ${axis}`);
  });
  const centre = (shape: Triple, mm: Triple, at: Triple) => at.map((i, axis) => (i - (shape[axis] - 1) / 2) * mm[axis]);
  const ramp = (z: number, y: number, x: number) => 2 * z - 3 * y + 0.5 * x;
  const data = voxels(from, (...at) => ramp(...(centre(from, spacing, at) as unknown as Parameters<typeof ramp>)));
  const result = resampleTo(data, from, grid.shape);
  let compared = 0;
  voxels(grid.shape, (...at) => {
    const mm = centre(grid.shape, grid.spacing, at) as unknown as Parameters<typeof ramp>;
    // Outside the outermost voxel centres the values are clamped.
    if (mm.some((v, axis) => Math.abs(v) > ((from[axis] - 1) / 2) * spacing[axis])) return 0;
    const value = result[(at[0] * grid.shape[1] + at[1]) * grid.shape[2] + at[2]];
    assert.ok(Math.abs(value - ramp(...mm)) < 1e-4, `[${at}] ${value} ${ramp(...mm)}`);
    compared++;
    return 0;
  });
  assert.ok(compared > 800);
});

test('trilinear resampling equals a float64 loop over eight neighbours, channel by channel', () => {
  const from: Triple = [4, 5, 3];
  const to: Triple = [6, 3, 7];
  const data = Float32Array.from(random([2, ...from], 3).data);
  const expected: number[] = [];
  for (let c = 0; c < 2; c++) {
    voxels(to, (...at) => {
      const taps = at.map((i, axis) => {
        const q = Math.min(Math.max(((i + 0.5) * from[axis]) / to[axis] - 0.5, 0), from[axis] - 1);
        const low = Math.floor(q);
        return [
          [low, 1 - (q - low)],
          [Math.min(low + 1, from[axis] - 1), q - low],
        ];
      });
      let sum = 0;
      for (const [z, wz] of taps[0])
        for (const [y, wy] of taps[1])
          for (const [x, wx] of taps[2]) sum += wz * wy * wx * data[((c * 4 + z) * 5 + y) * 3 + x];
      expected.push(sum);
      return 0;
    });
  }
  assertClose('resampleTo', resampleTo(data, from, to), { shape: [2, ...to], data: expected });
});

test('resampling to the same shape is the identity, and whole factors come back exactly', () => {
  const data = Float32Array.from(random([3, 4, 5], 1).data);
  assert.is(resampleTo(data, [3, 4, 5], [3, 4, 5]), data);
  const labels = Uint8Array.from({ length: 60 }, (_, i) => i);
  const up = resampleNearest(labels, [3, 4, 5], [9, 4, 15]);
  assert.equal(resampleNearest(up, [9, 4, 15], [3, 4, 5]), labels);
  assert.equal(resampleNearest(Uint8Array.of(1, 2), [1, 1, 2], [1, 1, 5]), Uint8Array.of(1, 1, 2, 2, 2));
  assert.throws(() => resampleTo(data, [7, 1, 1], [1, 1, 1]), /60 voxels .* \[7, 1, 1\]/);
});

test('spacing that agrees within 0.1 % is left alone, axis by axis', () => {
  const grid = targetGrid({ shape: [10, 10, 10], spacing: [1.0009, 1.002, 2] }, [1, 1, 1]);
  assert.is(grid.shape[0], 10);
  assert.is(grid.spacing[0], 1.0009);
  assert.is(grid.shape[2], 20);
  assert.equal(targetGrid({ shape: [2, 3, 4], spacing: [1, 2, 3] }, null).spacing, [1, 2, 3]);
  assert.throws(
    () => targetGrid({ shape: [2, 2, 2], spacing: [1, 1, 1] }, [1, 0, 1]),
    (e: unknown) => e instanceof UsageError,
  );
});

test('z-score: mean 0, sd 1 per channel despite a large offset, cut off at 4; the volume keeps its voxels', () => {
  const n = 20 * 21 * 22;
  const noise = random([2, n], 5).data;
  const values = Float32Array.from(noise, (v, i) => (i < n ? 1000 + v : -5 + 40 * v));
  values[n] = 1e6;
  const image = volumeOf(values, [20, 21, 22]);
  const out = preprocess(image, null, Z_SCORE, 'case_1');
  assert.is(out.id, 'case_1');
  assert.is(out.label, null);
  assert.equal(out.constantChannels, []);
  assert.is(image.data[n], 1e6);
  const first = out.image.subarray(0, n);
  const mean = first.reduce((a, b) => a + b, 0) / n;
  const variance = first.reduce((a, b) => a + (b - mean) ** 2, 0) / n;
  assert.ok(Math.abs(mean) < 1e-4 && Math.abs(variance - 1) < 1e-4, `${mean} ${variance}`);
  assert.is(out.image[n], 4);
  const unclipped = preprocess(image, null, { ...Z_SCORE, clip: null });
  assert.ok(unclipped.image[n] > 90);
  assert.equal(unclipped.image.subarray(0, n), first);
});

test('a constant channel becomes zeros and is named', () => {
  const values = [...new Array(8).fill(0.1), 1, 2, 3, 4, 5, 6, 7, 8];
  for (const config of [Z_SCORE, { ...Z_SCORE, normalisation: 'ct', window: [0, 10] }] as const) {
    const out = preprocess(volumeOf(values, [2, 2, 2]), null, config);
    assert.equal(out.constantChannels, [0]);
    assert.ok(out.image.subarray(0, 8).every((v) => v === 0));
    assert.ok(out.image[15] > 1);
  }
});

test('CT: window, then the given or the own mean and deviation, not cut off', () => {
  const image = volumeOf([-1000, -100, 0, 100, 200, 3000, 50, 50], [2, 2, 2]);
  const config = { spacing: null, normalisation: 'ct', window: [-200, 300] } as const;
  const given = preprocess(image, null, { ...config, mean: 100, std: 50 });
  assert.equal(given.image, Float32Array.of(-6, -4, -2, 0, 2, 4, -1, -1));
  const windowed = [-200, -100, 0, 100, 200, 300, 50, 50];
  const std = Math.sqrt(windowed.reduce((a, v) => a + (v - 50) ** 2, 0) / 8);
  assertClose('own', preprocess(image, null, config).image, {
    shape: [2, 2, 2],
    data: windowed.map((v) => (v - 50) / std),
  });
  const usage = (e: unknown) => e instanceof UsageError;
  assert.throws(() => preprocess(image, null, { ...config, window: [10, 10] }), usage);
  assert.throws(() => preprocess(image, null, { ...config, mean: 0, std: 0 }), usage);
});

test('image and label are resampled to one grid; labels stay classes', () => {
  const shape: Triple = [3, 4, 6];
  const label = volumeOf(
    voxels(shape, (z, _, x) => (x >= 3 ? 2 : z === 0 ? 1 : 0)),
    shape,
    [2, 1, 1],
  );
  const image = volumeOf(random(shape, 2).data, shape, [2, 1, 1]);
  const out = preprocess(image, label, { ...Z_SCORE, spacing: [1, 1, 2] });
  assert.equal(out.shape, [6, 4, 3]);
  assert.equal(out.spacing, [1, 1, 2]);
  assert.is(out.image.length, 72);
  assert.equal([...out.label!.subarray(0, 3)], [1, 2, 2]);
  assert.equal([...out.label!.subarray(24, 27)], [0, 2, 2]);
});

test('labels that do not fit are refused with both values', () => {
  const image = volumeOf(random([2, 2, 2], 1).data, [2, 2, 2]);
  const refuse = (values: number[], shape: Triple, message: RegExp) =>
    assert.throws(
      () => preprocess(image, volumeOf(values, shape), Z_SCORE, 'la_07'),
      (e: Error) => e instanceof DataError && message.test(e.message),
    );
  refuse(new Array(12).fill(0), [2, 2, 3], /case la_07: .*\[2, 2, 3\].*\[2, 2, 2\]/);
  refuse([0, 1, 0.5, 0, 0, 0, 0, 0], [2, 2, 2], /case la_07: label value 0.5/);
  refuse([0, 1, 256, 0, 0, 0, 0, 0], [2, 2, 2], /label value 256/);
  refuse([0, 1, -1, 0, 0, 0, 0, 0], [2, 2, 2], /label value -1/);
});

test.run();
