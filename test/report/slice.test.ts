import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { bestSlices, regionOfInterest } from '../../runner/report/region.ts';
import { CATMULL_ROM, extractSlice, QUADRATIC_SPLINE, resampleSlice } from '../../runner/report/slice.ts';

type Triple = [number, number, number];

/** Voxel (z, y, x) holds the number zyx. */
const shape: Triple = [2, 3, 4];
const volume = Float32Array.from(
  { length: 24 },
  (_, i) => 100 * Math.floor(i / 12) + 10 * (Math.floor(i / 4) % 3) + (i % 4),
);
const whole = { lo: [0, 0, 0] as Triple, hi: shape };

test('planes show right on the left, front and head at the top, the front on the left from the side', () => {
  const rows = (plane: 'axial' | 'coronal' | 'sagittal', index: number, region = whole) => {
    const { data, columns } = extractSlice(volume, shape, plane, index, region);
    return Array.from({ length: data.length / columns }, (_, r) => [...data.subarray(r * columns, (r + 1) * columns)]);
  };
  assert.equal(rows('axial', 1), [
    [123, 122, 121, 120],
    [113, 112, 111, 110],
    [103, 102, 101, 100],
  ]);
  assert.equal(rows('coronal', 2), [
    [123, 122, 121, 120],
    [23, 22, 21, 20],
  ]);
  assert.equal(rows('sagittal', 3), [
    [123, 113, 103],
    [23, 13, 3],
  ]);
  assert.equal(rows('axial', 0, { lo: [0, 1, 1], hi: [1, 3, 3] }), [
    [22, 21],
    [12, 11],
  ]);
});

test('resampling to the same size with the interpolating kernel changes nothing', () => {
  const slice = extractSlice(volume, shape, 'axial', 1, whole);
  assert.equal(resampleSlice(slice, 3, 4, CATMULL_ROM), slice);
});

test('a constant stays constant at every size, and doubling hits the straight line between samples', () => {
  const size = fc.integer({ min: 1, max: 40 });
  const flat = { data: new Float32Array(35).fill(3), rows: 5, columns: 7 };
  fc.assert(
    fc.property(size, size, fc.constantFrom(CATMULL_ROM, QUADRATIC_SPLINE), (rows, columns, kernel) =>
      resampleSlice(flat, rows, columns, kernel).data.every((value) => Math.abs(value - 3) < 1e-5),
    ),
  );
  const ramp = { data: Float32Array.from({ length: 8 }, (_, i) => i), rows: 1, columns: 8 };
  const twice = resampleSlice(ramp, 1, 16, CATMULL_ROM).data;
  for (let i = 3; i < 13; i++) assert.ok(Math.abs(twice[i] - ((i + 0.5) / 2 - 0.5)) < 1e-6, `${i}: ${twice[i]}`);
});

test('the spline keeps a single voxel above the contour level at its centre', () => {
  const dot = { data: Float32Array.of(0, 0, 0, 0, 1, 0, 0, 0, 0), rows: 3, columns: 3 };
  const { data } = resampleSlice(dot, 9, 9, QUADRATIC_SPLINE);
  assert.is(data[4 * 9 + 4], 0.5625);
  assert.is(data.filter((value) => value > 0.5).length, 1);
});

test('shrinking averages instead of picking', () => {
  const stripes = { data: Float32Array.from({ length: 64 }, (_, i) => i % 2), rows: 1, columns: 64 };
  for (const value of resampleSlice(stripes, 1, 8, CATMULL_ROM).data.subarray(1, 7)) {
    assert.ok(Math.abs(value - 0.5) < 0.02, `${value}`);
  }
});

test('the region is the box of all labels grown by half its size and cut at the volume', () => {
  const size: Triple = [10, 20, 30];
  const prediction = new Uint8Array(6000);
  const reference = new Uint8Array(6000);
  prediction[(4 * 20 + 8) * 30 + 2] = 1;
  reference[(5 * 20 + 13) * 30 + 9] = 2;
  assert.equal(regionOfInterest({ shape: size, prediction, reference }), { lo: [3, 5, 0], hi: [7, 17, 14] });
  assert.equal(regionOfInterest({ shape: size, prediction }), { lo: [3, 7, 1], hi: [6, 10, 4] });
  assert.equal(regionOfInterest({ shape: size, reference: new Uint8Array(6000) }), { lo: [0, 0, 0], hi: size });
});

test('the slices shown hold most of every label: a rare one counts as much as a common one', () => {
  const size: Triple = [6, 1, 10];
  const reference = new Uint8Array(60);
  reference.fill(1, 10, 20);
  reference.fill(1, 40, 49);
  reference[49] = 2;
  const region = { lo: [0, 0, 0] as Triple, hi: size };
  assert.equal(bestSlices({ shape: size, reference }, region), [4, 0, 9]);
  const prediction = new Uint8Array(60).fill(1, 10, 13);
  assert.equal(bestSlices({ shape: size, reference: new Uint8Array(60), prediction }, region), [1, 0, 0]);
  assert.equal(bestSlices({ shape: size, prediction: new Uint8Array(60) }, region), [3, 0, 5]);
});

test.run();
