/** `action3d tune` as a command: what it prints, stores and exits with, and who uses the results. */
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Device } from '../../engine/device.ts';
import { doctor } from '../../runner/commands/doctor.ts';
import { type TuneOptions, tuneCommand } from '../../runner/commands/tune.ts';
import { openGpu } from '../../runner/host/node.ts';
import type { Tunable } from '../../runner/tune/tunables.ts';
import type { TuneRow } from '../../runner/tune/tune.ts';
import { captured } from '../captured.ts';
import { inFolder } from '../data/corpus.ts';
import { rejects } from '../data/rejects.ts';
import { run } from '../harness.ts';
import { PLAIN, record, withOther } from './parts.ts';

const gpu = process.env.ACTION3D_GPU;
const TINY: TuneOptions = { gpu, quiet: true, patch: [4, 4, 4], batch: 1, channels: [4], method: ['supervised'] };

/** Convolutions whose usual way computes thirty times over before, so that the plain one wins. */
function slowUsual(beforeEach: () => void = () => undefined): Tunable {
  const tunable = withOther('slow', (way) => (rec, problem) => {
    beforeEach();
    for (let i = 0; i < 30; i++) way.record(rec, problem);
  });
  const { choice } = tunable;
  return { ...tunable, choice: { ...choice, usual: () => [choice.ways[1]] } };
}

/** Runs `body` with a cache folder of its own. */
function withCache(body: (cache: string) => Promise<void>): Promise<void> {
  return inFolder(async (folder) => {
    const before = process.env.XDG_CACHE_HOME;
    process.env.XDG_CACHE_HOME = folder;
    try {
      await body(folder);
    } finally {
      if (before === undefined) delete process.env.XDG_CACHE_HOME;
      else process.env.XDG_CACHE_HOME = before;
    }
  });
}

test('finds, prints and stores; devices opened later take it, doctor tells of it, --clear forgets it', () =>
  withCache(async (cache) => {
    const first = await captured(() => tuneCommand({ ...TINY, json: true }, [slowUsual()]));
    assert.is(first.code, 0, String(first.failure));
    const report = JSON.parse(first.text);
    assert.equal([report.stopped, report.stored.problem], [false, null]);
    assert.ok(report.stored.file.startsWith(join(cache, 'action3d', 'tuning')), report.stored.file);
    assert.ok(report.rows.length >= 4);
    for (const { usual, best } of report.rows as TuneRow[]) {
      assert.equal([usual.way, best.way], ['slow', PLAIN]);
      assert.ok(best.ms < usual.ms);
    }

    const again = await captured(() => tuneCommand(TINY, [slowUsual()]));
    assert.is(again.code, 0);
    assert.match(
      again.text,
      /^\S.*\(.*\) · \d{4}-\d\d-\d\dT.*\npatch 4 x 4 x 4 \(z, y, x\), batch 1, U-Net 4, fp32, supervised\n/,
    );
    assert.match(
      again.text,
      /\nconv3d +1x4x4x4x1 -> 4, kernel 3x3x3 +\d+ +slow +\d\S* +direct x1 c1 +\d\S* +\d\S* x +kept\n/,
    );
    assert.match(again.text, /\n(\d+) of \d+ problems, \1 of them faster by another way than the usual one\n/);

    const opened = await openGpu({ gpu });
    const { problem, op, key } = opened.tuning!.valid()[0];
    assert.is(opened.choose?.(op, key, problem), PLAIN);
    opened.close();
    const plain = await openGpu({ gpu, tuned: false });
    assert.equal([plain.choose, plain.tuning], [undefined, undefined]);
    plain.close();

    const told = JSON.parse((await captured(() => doctor({ gpu, json: true }))).text);
    assert.equal(told.tuning, { file: report.stored.file, problems: report.rows.length, faster: report.rows.length });
    assert.match(
      (await captured(() => doctor({ gpu }))).text,
      /\ntuned {5}for \d+ shapes of convolutions, \d+ of them by /,
    );

    const cleared = await captured(() => tuneCommand({ gpu, quiet: true, clear: true }));
    assert.match(cleared.text, /\.json is removed: .* is not tuned any more\n$/);
    const nothing = await captured(() => tuneCommand({ gpu, quiet: true, clear: true, json: true }));
    assert.equal(JSON.parse(nothing.text), { file: report.stored.file, cleared: false });
    assert.match((await captured(() => doctor({ gpu }))).text, /\ntuned {5}no: action3d tune finds/);
  }));

test('a stored choice is what a Device of the opened adapter records', () =>
  withCache(async () => {
    const sizes: TuneOptions = { ...TINY, patch: [8, 8, 8] };
    assert.is((await captured(() => tuneCommand({ ...sizes, json: true }, [slowUsual()]))).code, 0);
    const opened = await openGpu({ gpu });
    const { software, kind } = opened;
    const listing = (choose: Device['choose'] | undefined) =>
      record(new Device(opened.device, { software, kind, choose }));
    assert.is(
      record(new Device(opened.device, opened)),
      listing(() => PLAIN),
    );
    assert.is.not(
      listing(undefined),
      listing(() => PLAIN),
    );
    opened.close();
  }));

test('a wrong way is exit 8 after everything is printed, and is not stored', () =>
  withCache(async () => {
    const wrong = withOther('wrong', (way) => (rec, problem) => {
      way.record(rec, problem);
      rec.clear((problem as { y: Parameters<typeof rec.clear>[0] }).y);
    });
    const { failure, text } = await captured(() => tuneCommand({ ...TINY, json: true }, [wrong]));
    const { message, exitCode } = failure as Error & { exitCode: number };
    assert.is(exitCode, 8);
    assert.match(
      message,
      /(^|; )wrong on 1x4x4x4x1 -> 4, kernel 3x3x3: conv3d direct x1 c1 and it differ by .*; these were not chosen/,
    );
    assert.ok((JSON.parse(text).rows as TuneRow[]).every(({ best }) => best.way === PLAIN));
    const opened = await openGpu({ gpu });
    assert.ok(opened.tuning?.chosen().every(({ way }) => way === PLAIN));
    opened.close();
  }));

test('Ctrl-C keeps what was found and is exit 75; the next start goes on', () =>
  withCache(async () => {
    const stoppingAt = (count: number) => {
      let recorded = 0;
      return slowUsual(() => {
        if (++recorded === count) process.emit('SIGINT');
      });
    };
    const none = await captured(() => tuneCommand(TINY, [stoppingAt(1)]));
    assert.is(none.code, 75, String(none.failure));
    assert.match(none.text, /\n0 of \d+ problems before it was stopped\n$/);
    // Each problem records the slow way twice: to try it and for its checksum.
    const first = await captured(() => tuneCommand({ ...TINY, json: true }, [stoppingAt(3)]));
    assert.is(first.code, 75, String(first.failure));
    const report = JSON.parse(first.text);
    assert.equal([report.stopped, report.rows.length < report.problems], [true, true]);
    assert.ok(report.rows.length > 0);
    const second = await captured(() => tuneCommand({ ...TINY, json: true }, [slowUsual()]));
    const rows: TuneRow[] = JSON.parse(second.text).rows;
    assert.is(rows.filter(({ tried }) => tried === null).length, report.rows.length);
  }));

test('what cannot be meant is told', async () => {
  await rejects(() => tuneCommand({ run: 'x', batch: 2 }), 2, /--batch and --run both say what to tune for/);
  await rejects(() => tuneCommand({ clear: true, force: true }), 2, /--clear forgets everything about the adapter/);
  await inFolder((folder) =>
    rejects(() => tuneCommand({ gpu, quiet: true, run: folder }), 4, /config\.json does not exist; check the path/),
  );
});

run();
