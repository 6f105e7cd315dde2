/** non_finite: which float32 bits it takes for NaN or infinity, how far it looks, and that the first code stays. */
import * as assert from 'uvu/assert';
import type { Device } from '../engine/device.ts';
import { compute } from '../engine/program.ts';
import { pcg4d } from '../engine/random.ts';
import { ceilDiv } from '../engine/shape.ts';
import type { Tensor } from '../engine/tensor.ts';
import { NON_FINITE_CHUNK, nonFiniteKernel } from '../shaders/non_finite.wgsl.ts';
import { gpuTest, run } from './harness.ts';
import { nonFinite } from './reference/non_finite.ts';

type Check = { x: Tensor; count: number; threads?: number };

/** Runs the kernel over each tensor with a result of its own, or all with one; codes are 1, 2, ... */
async function codes(device: Device, checks: readonly Check[], shared = false): Promise<number[]> {
  const found = await compute(device, (rec) => {
    const results: Record<string, Tensor> = {};
    checks.forEach(({ x, count, threads = ceilDiv(count, NON_FINITE_CHUNK) }, i) => {
      const name = `${shared ? 0 : i}`;
      if (!results[name]) {
        results[name] = rec.tensor([1], 'first', { dtype: 'u32', dense: true });
        rec.clear(results[name]);
      }
      rec.dispatch(nonFiniteKernel('f32'), { x, first: results[name] }, { count, threads, code: i + 1 }, threads);
    });
    return results;
  });
  return Object.values(found).map(([code]) => code);
}

/** A tensor of one row per list of bits, 256-byte aligned, and the check of each row up to its length. */
function rowsOf(device: Device, rows: readonly Uint32Array[]): Check[] {
  const stride = 64 * ceilDiv(Math.max(...rows.map((row) => row.length)), 64);
  const all = device.tensor([rows.length, stride], 'rows');
  const bits = new Uint32Array(rows.length * stride);
  rows.forEach((row, r) => {
    bits.set(row, r * stride);
  });
  device.writeStored(all, bits);
  return rows.map((row, r) => ({
    x: { ...all, shape: [stride], pitch: stride, offset: r * stride * 4 },
    count: row.length,
  }));
}
const expected = (rows: readonly Uint32Array[]) =>
  rows.map((row, r) => (nonFinite(new Float32Array(row.slice().buffer)) ? r + 1 : 0));

const BITS: [string, number, boolean][] = [
  ['infinity', 0x7f800000, true],
  ['-infinity', 0xff800000, true],
  ['a quiet NaN', 0x7fc00000, true],
  ['a negative NaN', 0xffc00000, true],
  ['a signalling NaN', 0x7f800001, true],
  ['a NaN of all bits', 0xffffffff, true],
  ['the largest finite', 0x7f7fffff, false],
  ['the lowest finite', 0xff7fffff, false],
  ['the smallest normal', 0x00800000, false],
  ['the largest denormal', 0x007fffff, false],
  ['the smallest denormal', 0x00000001, false],
  ['a negative denormal', 0x807fffff, false],
  ['zero', 0, false],
  ['negative zero', 0x80000000, false],
  ['one', 0x3f800000, false],
];

gpuTest('NaN of every kind and both infinities are found; no finite number is', async (device) => {
  const rows = BITS.map(([, bits]) => Uint32Array.of(bits));
  const found = await codes(device, rowsOf(device, rows));
  assert.equal(
    BITS.map(([name], i) => [name, found[i] !== 0]),
    BITS.map(([name, , flagged]) => [name, flagged]),
  );
  assert.equal(found, expected(rows));
});

gpuTest('random bits of any length are judged as the reference does', async (device) => {
  const rows = Array.from({ length: 120 }, (_, r) => {
    const length = 1 + (pcg4d(r, 0, 0, 0)[0] % 700);
    return Uint32Array.from({ length }, (_, i) => pcg4d(r, i, 1, 0)[1]);
  });
  const truth = expected(rows);
  assert.ok(new Set(truth).size > 30 && truth.filter((code) => code === 0).length > 20);
  assert.equal(await codes(device, rowsOf(device, rows)), truth);
});

for (const length of [1, 3, 16, 17, 1023, 1024, 1025, 5000]) {
  gpuTest(`of ${length} elements each is looked at, and nothing behind the last`, async (device) => {
    const bad = [...new Set([0, 1, length >> 1, length - 2, length - 1, length])].filter((i) => i >= 0);
    const rows = bad.map((at) => {
      const row = new Uint32Array(length + 1).fill(0x7f7fffff);
      row[at] = 0x7fc00000;
      return row;
    });
    const checks = rowsOf(device, rows).map((check) => ({ ...check, count: length }));
    assert.equal(
      await codes(device, checks),
      bad.map((at, i) => (at < length ? i + 1 : 0)),
    );
  });
}

gpuTest('of two bfloat16 in a word each is looked at', async (device) => {
  const words = [0x7f800000, 0x00007f80, 0xffff7f7f, 0x3f80ff81, 0x7f7f7f7f, 0xff7f0000, 0x00000000];
  const judged: boolean[] = [];
  for (const word of words) {
    const x = device.tensor([1], 'x', { dtype: 'u32', dense: true, data: [word] });
    const one = await compute(device, (rec) => {
      const first = rec.tensor([1], 'first', { dtype: 'u32', dense: true });
      rec.clear(first);
      rec.dispatch(nonFiniteKernel('bf16'), { x, first }, { count: 1, threads: 1, code: 1 }, 1);
      return { first };
    });
    judged.push(one.first[0] === 1);
  }
  assert.equal(judged, [true, true, true, true, false, false, false]);
});

gpuTest('the first of several checks that find something gives the code', async (device) => {
  const rows = [[0], [0x7f7fffff], [0x7f800000], [0xffc00000], [0]].map((row) => Uint32Array.from(row));
  assert.equal(await codes(device, rowsOf(device, rows), true), [3]);
});

gpuTest('a grid of more than 65,535 workgroups folds: the last element is looked at', async (device) => {
  const count = 65_535 * 64 + 1_000;
  const x = device.tensor([count], 'x', { dense: true });
  assert.equal(await codes(device, [{ x, count, threads: count }]), [0]);
  device.writeStored(x, Uint32Array.of(0xff800000), (count - 1) * 4);
  assert.equal(await codes(device, [{ x, count, threads: count }]), [1]);
});

run();
