import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readNifti, readNiftiHeader, writeNifti } from '../../runner/data/nifti.ts';
import { canonicalAxes, orientationCode } from '../../runner/data/orientation.ts';
import { geometryDifference, type Volume } from '../../runner/data/volume.ts';
import {
  CODES,
  type DtypeName,
  niftiBytes,
  orientation,
  type Recipe,
  voxelBytes,
  world,
  zipped,
} from './nifti_bytes.ts';

const DTYPES = Object.keys(CODES) as DtypeName[];

/** Checks every canonical voxel against the file voxel at the same millimetre position. */
function assertSameWorld(volume: Volume, affine: readonly number[], recipe: Recipe): void {
  const [ni, nj, nk] = recipe.dim;
  const [nz, ny, nx] = volume.shape;
  assert.is(nx * ny * nz, ni * nj * nk);
  const byPlace = new Map<string, number>();
  const place = (point: readonly number[]) => point.map((mm) => Math.round(mm * 50)).join();
  for (let k = 0; k < nk; k++) {
    for (let j = 0; j < nj; j++) {
      for (let i = 0; i < ni; i++) byPlace.set(place(world(affine, i, j, k)), recipe.values[i + ni * (j + nj * k)]);
    }
  }
  assert.is(byPlace.size, ni * nj * nk, 'the test needs voxels further apart than its rounding');
  for (let z = 0; z < nz; z++) {
    for (let y = 0; y < ny; y++) {
      for (let x = 0; x < nx; x++) {
        const point = world(volume.affine, x, y, z);
        const near = neighbours(point).map((p) => byPlace.get(place(p)));
        assert.ok(near.includes(volume.data[x + nx * (y + ny * z)]), `voxel z ${z}, y ${y}, x ${x} at ${point}`);
      }
    }
  }
}

/** The point, and points within float32 rounding of it, for where it falls on a rounding boundary. */
function neighbours(point: readonly number[]): number[][] {
  const e = 1e-4;
  const out: number[][] = [];
  for (const dx of [0, e, -e]) {
    for (const dy of [0, e, -e]) for (const dz of [0, e, -e]) out.push([point[0] + dx, point[1] + dy, point[2] + dz]);
  }
  return out;
}

function values(count: number): number[] {
  return Array.from({ length: count }, (_, i) => (i * 37) % 127);
}

/** `affine` turned by a rotation vector (radians). */
function turned(affine: readonly number[], [a, b, c]: readonly number[]): number[] {
  const angle = Math.hypot(a, b, c) || 1e-9;
  const [x, y, z] = [a / angle, b / angle, c / angle];
  const [s, t] = [Math.sin(angle), 1 - Math.cos(angle)];
  const r = [
    [1 - t * (y * y + z * z), t * x * y - s * z, t * x * z + s * y],
    [t * x * y + s * z, 1 - t * (x * x + z * z), t * y * z - s * x],
    [t * x * z - s * y, t * y * z + s * x, 1 - t * (x * x + y * y)],
  ];
  const out = [...affine];
  for (let row = 0; row < 3; row++) {
    for (let col = 0; col < 3; col++) {
      out[row * 4 + col] = r[row][0] * affine[col] + r[row][1] * affine[4 + col] + r[row][2] * affine[8 + col];
    }
  }
  return out.map(Math.fround);
}

test('axes are chosen as nibabel chooses them: 48 orientations, oblique and sheared affines', () => {
  const rows = JSON.parse(readFileSync(new URL('../fixtures/nifti/orientation.json', import.meta.url), 'utf8'));
  assert.is(rows.length, 108);
  for (const { affine, io_orientation } of rows) {
    const axes = canonicalAxes(affine)!;
    const found = [0, 1, 2].map((axis) => {
      const canonical = axes.findIndex((entry) => entry.axis === axis);
      return [canonical, axes[canonical].flip ? -1 : 1];
    });
    assert.equal(found, io_orientation, `affine ${affine}`);
  }
});

test('an exact tie between axes still gives a permutation', () => {
  const h = Math.SQRT1_2;
  const axes = canonicalAxes([h, -h, 0, 0, h, h, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1])!;
  assert.equal([...axes.map(({ axis }) => axis)].sort(), [0, 1, 2]);
});

test('a singular or non-finite affine has no axes', () => {
  assert.is(canonicalAxes([1, 2, 0, 0, 1, 2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]), undefined);
  assert.is(canonicalAxes([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]), undefined);
  assert.is(canonicalAxes([1, 0, 0, 0, 0, Number.NaN, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]), undefined);
});

test('48 orientations: canonical axes run right, front and up, and voxels keep their place', async () => {
  for (let index = 0; index < 48; index++) {
    const affine = orientation(index, [0.75, 1.5, 3], [-20, 30, 12.5]);
    const recipe: Recipe = { dim: [2, 3, 4], values: values(24), sform: affine };
    const volume = await readNifti(niftiBytes(recipe), 'a.nii');
    for (const diagonal of [0, 5, 10]) assert.ok(volume.affine[diagonal] > 0, `orientation ${index}`);
    for (const other of [1, 2, 4, 6, 8, 9]) assert.ok(volume.affine[other] === 0, `orientation ${index}`);
    assert.equal(volume.spacing, [volume.affine[10], volume.affine[5], volume.affine[0]]);
    assertSameWorld(volume, affine, recipe);
    const code = orientationCode(volume.source.axes);
    assert.is(new Set([...code].map((letter) => 'RLAPSI'.indexOf(letter) >> 1)).size, 3, code);
  }
});

test('every type, byte order, version and packing gives the same volume', async () => {
  let index = 0;
  for (const dtype of DTYPES) {
    for (const big of [false, true]) {
      for (const zip of ['none', 'gzip', 'members'] as const) {
        const affine = orientation(index++ % 48, [1, 2, 3], [4, 5, 6]);
        const version = index % 2 ? 1 : 2;
        const recipe: Recipe = { dim: [3, 2, 5], values: values(30), dtype, big, version, sform: affine };
        const volume = await readNifti(zipped(niftiBytes(recipe), zip), `${dtype}, big ${big}, ${zip}`);
        assertSameWorld(volume, affine, recipe);
      }
    }
  }
});

const anyRecipe = fc.record({
  index: fc.nat(47),
  turn: fc.oneof(
    fc.constant([0, 0, 0]),
    fc.array(fc.double({ min: -0.5, max: 0.5, noNaN: true }), { minLength: 3, maxLength: 3 }),
  ),
  dim: fc.tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 5 })),
  zooms: fc.array(fc.double({ min: 0.3, max: 5, noNaN: true }), { minLength: 3, maxLength: 3 }),
  origin: fc.array(fc.double({ min: -200, max: 200, noNaN: true }), { minLength: 3, maxLength: 3 }),
  dtype: fc.constantFrom(...DTYPES),
  big: fc.boolean(),
  version: fc.constantFrom(1 as const, 2 as const),
  zip: fc.constantFrom('none' as const, 'gzip' as const, 'members' as const),
});

test('property: voxels keep their place in the world, and go back into the file as they were', async () => {
  await fc.assert(
    fc.asyncProperty(anyRecipe, async ({ index, turn, dim, zooms, origin, dtype, big, version, zip }) => {
      const affine = turned(orientation(index, zooms, origin), turn);
      const recipe: Recipe = { dim, values: values(dim[0] * dim[1] * dim[2]), dtype, big, version, sform: affine };
      const volume = await readNifti(zipped(niftiBytes(recipe), zip), 'a.nii.gz');
      assertSameWorld(volume, affine, recipe);

      const written = await writeNifti(Uint8Array.from(volume.data), volume.source);
      const plain = gunzipSync(written);
      assert.equal(new Uint8Array(plain.subarray(352)), voxelBytes({ dim, values: recipe.values }));
      const header = await readNiftiHeader(written, 'written');
      assert.equal(header.source.dim, volume.source.dim);
      assert.equal(header.source.affine, volume.source.affine);
      assert.equal(
        header.warnings.filter((warning) => !warning.startsWith('2D')),
        [],
      );

      const again = await readNifti(written, 'written', { role: 'label' });
      assert.equal(again, volume);
    }),
    { numRuns: 300, seed: 20260101 },
  );
});

test('a label written for one orientation equals, canonically, the image it was made from', async () => {
  const dim = [3, 4, 5] as const;
  for (let index = 0; index < 48; index += 5) {
    const affine = orientation(index, [1, 1.5, 2], [7, 8, 9]);
    const image = await readNifti(niftiBytes({ dim, values: values(60), sform: affine, dtype: 'int16' }), 'image.nii');
    for (const Type of [Uint8Array, Uint16Array, Float32Array]) {
      const written = await writeNifti(Type.from(image.data), image.source);
      const label = await readNifti(written, 'label.nii.gz', { role: 'label' });
      assert.is(geometryDifference(image, label), undefined);
      assert.equal(label.data, image.data);
    }
  }
});

test('geometryDifference allows float32 noise and names what differs', async () => {
  const sform = orientation(0, [1, 1, 2], [0, 0, 0]);
  const volume = await readNifti(niftiBytes({ dim: [3, 4, 5], values: values(60), sform }), 'a.nii');
  const moved = (change: (affine: number[]) => void) => {
    const affine = [...volume.affine];
    change(affine);
    return { ...volume, affine };
  };
  assert.is(
    geometryDifference(
      volume,
      moved((affine) => {
        affine[3] += 0.09;
      }),
    ),
    undefined,
  );
  assert.is(
    geometryDifference(
      volume,
      moved((affine) => {
        affine[3] += 0.5;
      }),
    ),
    'position or direction: corners are up to 0.500 mm apart',
  );
  assert.is(geometryDifference(volume, { ...volume, shape: [5, 4, 4] }), 'shape [z, y, x] 5,4,3 against 5,4,4');
  assert.is(geometryDifference(volume, { ...volume, spacing: [2.0001, 1, 1] }), undefined);
  assert.is(
    geometryDifference(volume, { ...volume, spacing: [2.1, 1, 1] }),
    'spacing [z, y, x] 2,1,1 mm against 2.1,1,1 mm',
  );
});

test.run();
