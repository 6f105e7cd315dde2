import * as assert from 'uvu/assert';
import type { Device } from '../../engine/device.ts';
import { gather, scatterAdd } from '../../engine/ops/gather.ts';
import { compute } from '../../engine/program.ts';
import { Recording } from '../../engine/recording.ts';
import { checkOp, gpuTest, run, upload } from '../harness.ts';
import { type Dense, random } from '../reference/dense.ts';
import { gather as gatherReference } from '../reference/gather.ts';
import { scatter } from '../reference/scatter.ts';

const indices = (length: number, rows: number, seed: number): number[] =>
  Array.from(random([length], seed).data, (v) => Math.floor(((v + 1) / 2) * rows));
const uploadIndex = (device: Device, index: number[]) =>
  device.tensor([index.length], 'index', { dtype: 'u32', dense: true, data: index });

for (const [rows, length, channels] of [
  [5, 6, 4],
  [40, 9, 3],
  [3, 50, 6],
  [1, 7, 1],
  [1000, 301, 17],
]) {
  const index = indices(length, rows, 3);
  const x = random([rows, channels], 1);
  gpuTest(`gather of ${length} from [${rows}, ${channels}] equals the reference, both ways`, (device) =>
    checkOp(device, 'gather', {
      inputs: { x },
      op: (rec, t) => gather(rec, t.x, uploadIndex(device, index)),
      expected: gatherReference(x, index),
      gradients: (dy) => ({ x: scatter(dy, index, rows) }),
    }),
  );
  const values = random([length, channels], 2);
  gpuTest(`scatterAdd of ${length} into [${rows}, ${channels}] equals the reference, both ways`, (device) =>
    checkOp(device, 'scatter_add', {
      inputs: { x: values },
      op: (rec, t) => scatterAdd(rec, t.x, uploadIndex(device, index), rows),
      expected: scatter(values, index, rows),
      gradients: (dy) => ({ x: gatherReference(dy, index) }),
    }),
  );
}

const volume = random([2, 3, 2, 4, 5], 4);
const asRows: Dense = { shape: [48, 5], data: volume.data };
gpuTest('gather takes the voxels of a volume as rows', (device) =>
  checkOp(device, 'gather', {
    inputs: { x: volume },
    op: (rec, t) => gather(rec, t.x, uploadIndex(device, [47, 0, 13, 47])),
    expected: gatherReference(asRows, [47, 0, 13, 47]),
    gradients: (dy) => ({ x: { shape: volume.shape, data: scatter(dy, [47, 0, 13, 47], 48).data } }),
  }),
);

gpuTest('indices past the last row read zeros and are not written', async (device) => {
  const x = upload(device, random([2, 3], 5), 'x');
  const index = uploadIndex(device, [2, 4294967295]);
  const { read, written } = await compute(device, (rec) => ({
    read: gather(rec, x, index),
    written: scatterAdd(rec, x, index, 2),
  }));
  assert.equal(Array.from(read), [0, 0, 0, 0, 0, 0]);
  assert.equal(Array.from(written), [0, 0, 0, 0, 0, 0]);
});

gpuTest('an index of another type or length is an error that names it', async (device) => {
  const rec = new Recording(device, 'errors');
  const x = device.tensor([4, 3], 'x');
  assert.throws(() => gather(rec, x, device.tensor([2], 'floats', { dense: true })), /floats.*f32.*dense u32/);
  assert.throws(() => scatterAdd(rec, x, uploadIndex(device, [0, 1]), 3), /'index' \[2\].*'x' \[4, 3\]/);
});

run();
