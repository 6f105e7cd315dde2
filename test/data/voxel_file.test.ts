/** Images beyond the memory for them: read back out of a file, whole and by boxes. */
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Stream } from '../../engine/random.ts';
import { product, type Triple } from '../../engine/shape.ts';
import { copyBox, readBox } from '../../runner/data/patches_box.ts';
import { inMemory, type StoredVoxels } from '../../runner/data/voxels.ts';
import { assertRoomForLabels, memoryForVoxels, roomForImages, voxelShelf } from '../../runner/host/voxel_file.ts';
import { random } from '../reference/dense.ts';
import { inFolder } from './corpus.ts';
import { rejects } from './rejects.ts';

const image = (values: number, seed: number) => Float32Array.from(random([values], seed).data);

test('images stay in memory while they fit together, the others read back as they were', () =>
  inFolder(async (folder) => {
    const images = [image(100, 1), image(300, 2), image(50, 3), image(1, 4)];
    const shelf = voxelShelf(join(folder, 'new'), 4 * 160);
    const kept = images.map((values) => shelf.keep(values.slice()));
    assert.equal(
      kept.map((voxels) => voxels instanceof Float32Array),
      [true, false, true, true],
    );
    assert.equal(shelf.held, { memory: 4 * 151, file: 4 * 300 });
    kept.forEach((voxels, i) => {
      assert.equal(inMemory(voxels), images[i]);
    });
    const part = new Float32Array(7);
    (kept[1] as StoredVoxels).read(293, part);
    assert.equal(part, images[1].subarray(293));
    if (process.platform !== 'win32') assert.equal(await readdir(join(folder, 'new')), [], 'the file has no name');
    shelf.close();
    assert.equal(await readdir(join(folder, 'new')), []);
    assert.throws(() => inMemory(kept[1]), /EBADF|bad file/i);
  }));

test('a shelf that never spills makes neither file nor folder', () =>
  inFolder(async (folder) => {
    const shelf = voxelShelf(join(folder, 'new'), 400);
    shelf.keep(image(100, 1));
    shelf.close();
    assert.equal(await readdir(folder), []);
  }));

test('any box of a stored volume is that of the volume in memory', () =>
  inFolder(async (folder) => {
    const draws = new Stream(3, 1);
    const shelf = voxelShelf(folder, 0);
    for (let trial = 0; trial < 100; trial++) {
      const shape = [0, 1, 2].map(() => 1 + draws.integer(9)) as unknown as Triple;
      const values = image(2 * product(shape), trial);
      const stored = shelf.keep(values) as StoredVoxels;
      const origin = shape.map((n) => draws.integer(n)) as unknown as Triple;
      const extent = shape.map((n, a) => 1 + draws.integer(n - origin[a])) as unknown as Triple;
      const box = { origin, extent };
      const [expected, found] = [0, 1].map(() => new Float32Array(product(extent) + 4).fill(-7));
      const channel = product(shape) * draws.integer(2);
      copyBox(values, channel, shape, box, expected, 3);
      readBox(stored, channel, shape, box, found, 3);
      assert.equal(found, expected, `${shape}: ${origin} ${extent}`);
    }
    shelf.close();
  }));

test('a place that cannot be written is refused', () =>
  inFolder(async (folder) => {
    await writeFile(join(folder, 'file'), '');
    const shelf = voxelShelf(join(folder, 'file'), 0);
    await rejects(async () => shelf.keep(image(1, 1)), 2, /file.*cannot be written because/);
  }));

test('what goes into a file is told, and refused where the disk has no room for it', () =>
  inFolder(async (folder) => {
    await mkdir(join(folder, 'run'));
    const run = join(folder, 'run');
    assert.is(await roomForImages(run, 1000, 1000), undefined);
    assertRoomForLabels(1000, 1000);
    assert.throws(
      () => assertRoomForLabels(3 * 2 ** 30, 2 ** 30),
      /take 3\.00 GiB of memory, more than the 1\.00 GiB .*; use action\.stage2\.pseudo=patch/,
    );
    assert.match(
      (await roomForImages(run, 3 * 2 ** 20, 2 ** 20)) as string,
      /^the prepared images take 3\.00 MiB, more than the 1\.00 MiB of memory for them \(--memory\): 2\.00 MiB go into a file in .*run while/,
    );
    await rejects(
      () => roomForImages(run, 2 ** 60, 2 ** 30),
      5,
      /and the disk of .*run has .* free for the other .*; take/,
    );
    assert.ok(memoryForVoxels() > 2 ** 20 && Number.isInteger(memoryForVoxels()));
  }));

test.run();
