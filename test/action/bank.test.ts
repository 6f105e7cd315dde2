import * as assert from 'uvu/assert';
import { type BankScalar, bankScalars, bankSums, createMemoryBank, pushKeys } from '../../engine/action/bank.ts';
import type { Device } from '../../engine/device.ts';
import { DataError } from '../../engine/errors.ts';
import { centre } from '../../engine/ops/centre.ts';
import { Program } from '../../engine/program.ts';
import { Recording } from '../../engine/recording.ts';
import { StepScalars } from '../../engine/step_scalars.ts';
import { assertClose } from '../compare.ts';
import { gpuTest, run } from '../harness.ts';
import { dense, random, zeros } from '../reference/dense.ts';
import { ringWrite } from '../reference/ring_write.ts';

const names: BankScalar[] = ['global_bank_cursor', 'global_bank_filled', 'local_bank_cursor', 'local_bank_filled'];

/** A recorded push of a batch, replayed with new keys and the step's cursor. */
async function pusher(device: Device, shape: [K: number, N: number, D: number], batch: number) {
  const options = { K: shape[0], bankStart: 'fill' } as const;
  const bank = createMemoryBank(device, 'local_bank', options, [shape[1], shape[2]], 1);
  const scalars = StepScalars.create(device, names);
  const keys = device.tensor([batch, shape[1], shape[2]], 'keys');
  const rec = new Recording(device, 'push');
  const centred = rec.keep(centre(rec, keys, bankSums(rec, bank), scalars.tensor, scalars.index('local_bank_filled')));
  pushKeys(rec, bank, keys, scalars);
  const program = await Program.create(rec);
  const push = (step: number) => {
    const values = random(keys.shape, 10 + step);
    device.write(keys, values.data);
    scalars.set(bankScalars('local_bank', options, step * batch));
    program.run();
    return values;
  };
  return { bank, push, centred: () => program.read(centred) };
}

for (const [K, batch] of [
  [6, 2],
  [5, 2],
  [5, 3],
  [4, 4],
  [36, 4],
  [3, 1],
]) {
  gpuTest(`a bank of ${K} takes batches of ${batch}, oldest first, and wraps around`, async (device) => {
    const { bank, push } = await pusher(device, [K, 2, 5], batch);
    const expected = zeros([K, 2, 5]);
    for (let step = 0; step < 3 * Math.ceil(K / batch); step++) {
      ringWrite(expected, push(step), (step * batch) % K);
      assert.equal(Array.from(await device.read(bank.rows)), Array.from(expected.data));
    }
  });
}

gpuTest('the mean that is taken off is that of the filled rows, before the batch goes in', async (device) => {
  const [K, batch] = [5, 2];
  const { push, centred } = await pusher(device, [K, 3, 6], batch);
  const ring = zeros([K, 3, 6]);
  for (let step = 0; step < 6; step++) {
    const filled = Math.min(K, step * batch);
    const mean = Array.from({ length: 18 }, (_, i) => {
      let sum = 0;
      for (let k = 0; k < filled; k++) sum += ring.data[k * 18 + i];
      return filled > 0 ? sum / filled : 0;
    });
    const keys = push(step);
    const expected = keys.data.map((v, i) => v - mean[i % 18]);
    assertClose(`step ${step}`, await centred(), dense(keys.shape, expected));
    ringWrite(ring, keys, (step * batch) % K);
  }
});

gpuTest('cursor and filled rows by hand', async () => {
  const at = (bankStart: 'fill' | 'gaussian', pushed: number) => {
    const scalars = bankScalars('global_bank', { K: 36, bankStart }, pushed);
    return [scalars.global_bank_cursor, scalars.global_bank_filled];
  };
  assert.equal(at('fill', 0), [0, 0]);
  assert.equal(at('fill', 32), [32, 32]);
  assert.equal(at('fill', 40), [4, 36]);
  assert.equal(at('gaussian', 4), [4, 36]);
});

gpuTest('Gaussian rows have unit length at every location and depend on the seed alone', async (device) => {
  const create = (seed: number) =>
    createMemoryBank(device, 'global_bank', { K: 7, bankStart: 'gaussian' }, [2, 5], seed);
  const rows = Float32Array.from(await device.read(create(3).rows));
  for (let at = 0; at < rows.length; at += 5) {
    const squares = rows.subarray(at, at + 5).reduce((sum, v) => sum + v * v, 0);
    assert.ok(Math.abs(squares - 1) < 1e-6, `row ${at / 5}: ${squares}`);
  }
  assert.equal(await device.read(create(3).rows), rows);
  assert.not.equal(await device.read(create(4).rows), rows);
});

gpuTest('what is saved loads again to the bit; another size is an error that shows both', async (device) => {
  const { bank, push } = await pusher(device, [5, 2, 3], 2);
  for (let step = 0; step < 3; step++) push(step);
  const saved = await bank.save();
  const other = (await pusher(device, [5, 2, 3], 2)).bank;
  other.load(saved);
  assert.equal(await device.read(other.rows), await device.read(bank.rows));
  const larger = (await pusher(device, [6, 2, 3], 2)).bank;
  const refused = (values: typeof saved, pattern: RegExp) =>
    assert.throws(
      () => larger.load(values),
      (error: Error) => error instanceof DataError && pattern.test(error.message),
    );
  refused(saved, /local bank saved is \[5, 2, 3\], this run's is \[6, 2, 3\]/);
  refused(new Map(), /local bank saved is missing/);
});

gpuTest('a batch larger than the bank, or of other locations, is an error', async (device) => {
  const bank = createMemoryBank(device, 'global_bank', { K: 3, bankStart: 'fill' }, [1, 4], 0);
  const scalars = StepScalars.create(device, names);
  const push = (shape: number[]) =>
    pushKeys(new Recording(device, 'errors'), bank, device.tensor(shape, 'batch'), scalars);
  assert.throws(() => push([4, 1, 4]), /'batch' \[4, 1, 4\] do not fit the global bank \[3, 1, 4\]; .* B at most 3/);
  assert.throws(() => push([2, 2, 4]), /\[2, 2, 4\] do not fit/);
});

run();
