import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { squaredDistanceTransform } from '../../runner/predict/distance_transform.ts';
import { maskInBox, surface, surfaceDistances } from '../../runner/predict/surface.ts';

type Triple = [number, number, number];

const extent = fc.integer({ min: 1, max: 6 });
const step = fc.double({ min: 0.1, max: 9, noNaN: true });
const volume = fc
  .tuple(fc.tuple(extent, extent, extent), fc.tuple(step, step, step))
  .chain(([shape, spacing]) =>
    fc.tuple(...[0.05, 0.3].map((p) => bits(shape, p))).map(([mask, other]) => ({ shape, spacing, mask, other })),
  );

function bits(shape: Triple, probability: number): fc.Arbitrary<Uint8Array> {
  const count = shape[0] * shape[1] * shape[2];
  const bit = fc.double({ min: 0, max: 1, noNaN: true }).map((u) => (u < probability ? 1 : 0));
  return fc.array(bit, { minLength: count, maxLength: count }).map((values) => Uint8Array.from(values));
}

/** Each voxel against every voxel of the mask. */
function bruteForce(mask: Uint8Array, [nz, ny, nx]: Triple, spacing: Triple): number[] {
  const position = (i: number) => [Math.floor(i / (nx * ny)), Math.floor(i / nx) % ny, i % nx];
  return Array.from(mask, (_, i) => {
    let nearest = Number.POSITIVE_INFINITY;
    for (let j = 0; j < nz * ny * nx; j++) {
      if (!mask[j]) continue;
      const [a, b] = [position(i), position(j)];
      nearest = Math.min(
        nearest,
        spacing.reduce((sum, s, axis) => sum + (s * (a[axis] - b[axis])) ** 2, 0),
      );
    }
    return nearest;
  });
}

function same(actual: number, expected: number): boolean {
  return actual === expected || Math.abs(actual - expected) <= 1e-12 * expected;
}

test('the transform equals a search over all pairs of voxels', () => {
  fc.assert(
    fc.property(volume, ({ shape, spacing, mask }) => {
      const expected = bruteForce(mask, shape, spacing);
      const actual = squaredDistanceTransform(mask, shape, spacing);
      return expected.every((value, i) => same(actual[i], value));
    }),
    { numRuns: 300 },
  );
});

test('an empty mask is infinitely far', () => {
  const field = squaredDistanceTransform(new Uint8Array(8), [2, 2, 2], [1, 1, 1]);
  assert.ok(field.every((value) => value === Number.POSITIVE_INFINITY));
});

test('one voxel at the far corner of a long anisotropic volume', () => {
  const shape: Triple = [2, 3, 200];
  const mask = new Uint8Array(1200);
  mask[1199] = 1;
  const field = squaredDistanceTransform(mask, shape, [10, 3, 0.5]);
  assert.is(field[0], 10 ** 2 + (2 * 3) ** 2 + (199 * 0.5) ** 2);
  assert.is(field[1199], 0);
});

test('the surface of a 5x5x5 block touching no border is its 98 outer voxels; a full volume counts its border', () => {
  const block = new Uint8Array(343);
  for (let z = 1; z < 6; z++) for (let y = 1; y < 6; y++) block.fill(1, (z * 7 + y) * 7 + 1, (z * 7 + y) * 7 + 6);
  const sum = (mask: Uint8Array) => mask.reduce((a, b) => a + b, 0);
  assert.is(sum(surface(block, [7, 7, 7])), 125 - 27);
  assert.is(sum(surface(new Uint8Array(125).fill(1), [5, 5, 5])), 125 - 27);
});

test('distances in the box of the union equal those in the whole volume', () => {
  fc.assert(
    fc.property(volume, ({ shape, spacing, mask, other }) => {
      fc.pre(mask.includes(1) && other.includes(1));
      const lo: Triple = [...shape];
      const hi: Triple = [0, 0, 0];
      mask.forEach((value, i) => {
        if (!value && !other[i]) return;
        const at = [Math.floor(i / (shape[1] * shape[2])), Math.floor(i / shape[2]) % shape[1], i % shape[2]];
        for (const axis of [0, 1, 2]) {
          lo[axis] = Math.min(lo[axis], at[axis]);
          hi[axis] = Math.max(hi[axis], at[axis] + 1);
        }
      });
      const box = { lo, hi };
      const size: Triple = [hi[0] - lo[0], hi[1] - lo[1], hi[2] - lo[2]];
      const whole = surfaceDistances(mask, other, shape, spacing);
      const cropped = surfaceDistances(maskInBox(mask, shape, box, 1), maskInBox(other, shape, box, 1), size, spacing);
      for (const key of ['predictionToReference', 'referenceToPrediction'] as const) {
        assert.is(cropped[key].length, whole[key].length);
        assert.ok(whole[key].every((value, i) => same(cropped[key][i], value)));
      }
    }),
    { numRuns: 200 },
  );
});

test.run();
