/** `bench` as a command: JSON, tables, exit codes. */
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ActionError } from '../../engine/errors.ts';
import { OPS } from '../../runner/bench/ops.ts';
import { type BenchOptions, bench } from '../../runner/commands/bench.ts';
import { benchKernelsCommand } from '../../runner/commands/bench_kernels.ts';
import { exit } from '../../runner/host/node.ts';
import { captured } from '../captured.ts';
import { inFolder, writeFiles } from '../data/corpus.ts';
import { rejects } from '../data/rejects.ts';

const SHAPES = JSON.stringify([
  { op: 'add', name: 'tiny', input: [1, 4, 4, 4, 4] },
  { op: 'matmul', name: 'tiny', input: [8, 8], out: 8 },
]);
const COMMON: BenchOptions = { gpu: process.env.ACTION3D_GPU, quiet: true, json: true, repeats: 1 };

const isPlace = (place: Record<string, unknown>) => {
  assert.match(String(place.date), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  for (const key of ['adapter', 'backend', 'driver', 'webgpu']) assert.type(place[key], 'string');
};

test('kernels: what --json prints is a baseline; slower and wrong are exit 8, after everything is printed', () =>
  inFolder(async (folder) => {
    const files = { shapes: join(folder, 's.json'), baseline: join(folder, 'b.json') };
    await writeFiles(folder, { 's.json': SHAPES });
    const first = await captured(() => bench('kernels', { ...COMMON, shapes: files.shapes }));
    assert.is(first.code, 0);
    const report = JSON.parse(first.text);
    isPlace(report.place);
    assert.equal(Object.keys(report.peaks), ['flopsPerSecond', 'bytesPerSecond', 'launchMs']);
    const names = report.rows.map((row: { op: string; pass: string }) => `${row.op} ${row.pass}`);
    assert.equal(names, ['add forward', 'matmul forward', 'matmul grad left', 'matmul grad right']);
    assert.ok(
      report.rows.every((row: { timing: { ms: number }; check: { ok: boolean } }) => row.timing.ms > 0 && row.check.ok),
    );
    assert.is(report.baseline, null);

    const before = report.rows.map((row: { op: string }) => ({
      ...row,
      timing: { ms: row.op === 'add' ? 1e-9 : 1e9 },
    }));
    await writeFiles(folder, { 'b.json': JSON.stringify({ ...report, rows: before }) });
    const wrong = {
      ...OPS,
      matmul: ((device, shape) => {
        const { passes, destroy } = OPS.matmul(device, shape);
        const [{ record, ...forward }] = passes;
        return {
          passes: [
            {
              ...forward,
              record: (rec) => {
                const {
                  from,
                  checked: [item],
                } = record(rec);
                const expected = () => ({ at: [3], expected: [1e6], terms: 1 });
                return { from, checked: [{ ...item, expected }] };
              },
            },
          ],
          destroy,
        };
      }) as typeof OPS.matmul,
    };
    const options = { ...COMMON, ...files, json: false, maxRegress: 0.5 };
    const second = await captured(() => benchKernelsCommand(options, wrong));
    const failure = second.failure as ActionError;
    assert.is(failure.exitCode, 8);
    assert.match(
      failure.message,
      /^matmul tiny forward is wrong: y is off by 1\.0e\+6 .*; add tiny forward takes .*--max-regress 50 %/,
    );
    assert.match(second.text, /^\S.*\(.*\) · \d{4}-\d\d-\d\dT.*\npeaks here and now: .* GFLOP\/s \(FMA loop\)/);
    assert.match(second.text, /\nadd +tiny +1x4x4x4x4 +forward +\d.*\+\d+ %\n/);
    assert.match(second.text, /\nmatmul +tiny +8x8 -> 8 +forward +WRONG\n/);
    assert.match(second.text, /\n1 of 2 agree with float64 in \d+ sampled results\n/);

    const other = { ...report, place: { ...report.place, adapter: 'Voodoo 2' } };
    await writeFiles(folder, { 'other.json': JSON.stringify(other) });
    const voodoo = { ...COMMON, ...files, baseline: join(folder, 'other.json') };
    await rejects(() => bench('kernels', voodoo), 2, /was measured on Voodoo 2/);
    await rejects(
      () => bench('kernels', { ...COMMON, shapes: files.shapes, ops: ['norm'] }),
      2,
      /no shape is of the ops norm/,
    );
  }));

test('step: every stage of a method, planned bytes are those held; predict: volumes a minute', async () => {
  const sizes = { patch: [8, 8, 8], batch: 2, channels: [4, 8] } as const;
  const step = await captured(() => bench('step', { ...COMMON, ...sizes, method: ['supervised', 'action'] }));
  assert.is(step.code, 0, String(step.failure));
  const { rows, place, precision, ...rest } = JSON.parse(step.text);
  isPlace(place);
  assert.equal([precision, rest.patch, rest.batch, rest.channels], ['fp32', [8, 8, 8], 2, [4, 8]]);
  assert.equal(
    rows.map((row: { method: string; stage: string }) => `${row.method} ${row.stage}`),
    ['supervised supervised', 'action 1a', 'action 1b', 'action 2'],
  );
  for (const row of rows) {
    assert.ok(
      row.ms > 0 && row.p95Ms >= row.ms && row.encodeMs > 0 && row.hostMs >= 0 && row.replayMs > 0 && row.firstMs > 0,
      JSON.stringify(row),
    );
    assert.ok(row.commands > 50 && row.flops > 0 && row.flopsPerSecond > 0 && row.ofFma > 0);
    assert.is(row.plannedBytes, row.heldBytes);
  }
  const alone = await captured(() => bench('step', { ...COMMON, ...sizes, batch: 1, method: ['action'] }));
  assert.is(alone.code, 0, 'a patch that has none to be mixed with is not mixed');
  assert.is(JSON.parse(alone.text).rows.length, 3);

  const predicted = await captured(() => bench('predict', { ...COMMON, json: false, ...sizes, size: [12, 10, 8] }));
  assert.is(predicted.code, 0, String(predicted.failure));
  assert.match(predicted.text, /\nvolume 12 x 10 x 8, window 8 x 8 x 8 \(z, y, x\), 2 a pass, U-Net 4-8, fp32\n/);
  assert.match(predicted.text, /\nvolumes a minute +\d/);
  assert.match(
    predicted.text,
    /\nwindows +4, half overlapping\ncheck +51\d of 512 labels of a window are the network's\n/,
  );
});

test('a subject that is not there, options of another one and files that are not there are told before a GPU is asked', async () => {
  await rejects(() => bench('speed'), 2, /bench has no subject 'speed'; give one of kernels, step, predict, peers/);
  await rejects(
    () => bench('step', { ops: ['norm'] }),
    2,
    /--ops means nothing to bench step; it is an option of bench kernels/,
  );
  await rejects(() => bench('kernels', { maxRegress: 0.1 }), 2, /add --baseline FILE/);
  await rejects(() => bench('predict', { maxRegress: 0.1 }), 2, /--max-regress means nothing to bench predict/);
  await rejects(() => bench('kernels', { baseline: 'none.json' }), 4, /none\.json does not exist/);
  await inFolder(async (folder) => {
    await writeFiles(folder, { 'x.json': '{', 'y.json': '{}' });
    await rejects(() => bench('kernels', { shapes: join(folder, 'x.json') }), 4, /x\.json is not JSON/);
    await rejects(() => bench('kernels', { shapes: join(folder, 'y.json') }), 4, /y\.json is no list of shapes/);
    await rejects(() => bench('kernels', { baseline: join(folder, 'y.json') }), 4, /y\.json is no baseline/);
  });
});

test.after(() => {
  setTimeout(() => exit(Number(process.exitCode ?? 0)), 10);
});
test.run();
