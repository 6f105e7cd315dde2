/** Where tuning is kept: what is damaged, foreign or out of date is not used, and nobody's results are lost. */
import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import * as assert from 'uvu/assert';
import { tuningFile } from '../../runner/host/tuning_file.ts';
import { tuningText } from '../../runner/tune/records.ts';
import { inFolder } from '../data/corpus.ts';
import { gpuTest, run } from '../harness.ts';
import { IDENTITY, memoryStore, oneProblem, opened, PLAIN, recordOf } from './parts.ts';

/** Runs `body` with the cache folder and the temporary folder elsewhere. */
async function withPlaces(cache: string, temporary: string, body: () => Promise<void>): Promise<void> {
  const before = { XDG_CACHE_HOME: process.env.XDG_CACHE_HOME, TMPDIR: process.env.TMPDIR };
  Object.assign(process.env, { XDG_CACHE_HOME: cache, TMPDIR: temporary });
  try {
    await body();
  } finally {
    for (const [name, value] of Object.entries(before)) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}

gpuTest('damaged files and those of other adapters are ignored, with a sentence that names them', async (device) => {
  const problem = oneProblem(device);
  const record = recordOf(device, problem, PLAIN, 'other');
  const sound = tuningText(IDENTITY, [record]);
  const wrong: [string, RegExp][] = [
    [sound.slice(0, 100), /^memory is damaged \(.*\) and is ignored; action3d tune writes it anew$/],
    ['{}', /^memory is no tuning file \('format' is undefined\) and is ignored/],
    [
      sound.replace('"ms": 1', '"ms": "fast"'),
      /^memory is no tuning file \('records\.0\.ms' is "fast"\) and is ignored/,
    ],
    [
      sound.replace('driver 1', 'driver 2'),
      /^memory was made on another adapter \(Test Adapter, vulkan\) and is ignored/,
    ],
  ];
  for (const [text, message] of wrong) {
    const store = memoryStore(text);
    const { tuning, warnings } = await opened(device, store);
    assert.is(warnings.length, 1, text);
    assert.match(warnings[0], message);
    assert.equal([tuning.chosen(), tuning.choose(problem.op, problem.key, undefined)], [[], undefined]);
    await tuning.add([record]);
    assert.is(store.text, sound);
  }
  const { tuning, warnings } = await opened(device, memoryStore(sound));
  assert.equal(warnings, []);
  assert.is(tuning.choose(problem.op, problem.key, undefined), PLAIN);
  assert.is(tuning.choose(problem.op, `${problem.key}0`, undefined), undefined);
});

gpuTest('a way whose shader changed, that is gone or no way at all is not taken', async (device) => {
  const problem = oneProblem(device);
  const record = recordOf(device, problem, PLAIN, 'other');
  const stale = [
    { ...record, shaders: '00000000' },
    { ...record, way: 'gone' },
    { ...record, op: 'conv9d' },
    { ...record, problem: {} },
  ];
  for (const item of stale) {
    const { tuning, warnings } = await opened(device, memoryStore(tuningText(IDENTITY, [item])));
    assert.equal([warnings, tuning.valid(), tuning.chosen()], [[], [], []]);
    assert.is(tuning.choose(item.op, item.key, undefined), undefined);
    assert.is(tuning.record(item.op, item.key), undefined);
  }
});

gpuTest('files: one an adapter, written by several at once, read where they are', (device) =>
  inFolder(async (folder) => {
    await withPlaces(join(folder, 'cache'), folder, async () => {
      const record = recordOf(device, oneProblem(device), PLAIN, 'other');
      const writers = Array.from({ length: 12 }, (_, i) => ({ ...record, key: `problem ${i}` }));
      await Promise.all(writers.map(async (item) => (await opened(device, tuningFile(IDENTITY))).tuning.add([item])));
      const { tuning, warnings } = await opened(device, tuningFile(IDENTITY));
      assert.equal([warnings, tuning.valid().length], [[], writers.length]);
      assert.match(tuning.store.name, /cache\/action3d\/tuning\/test-adapter-[0-9a-f]{8}\.json$/);
      assert.equal((await readdir(dirname(tuning.store.name))).length, 1, 'no lock and no temporary file is left');

      const other = { ...IDENTITY, description: 'driver 2' };
      const second = (await opened(device, tuningFile(other), other)).tuning;
      assert.equal(second.valid(), []);
      await second.add([record]);
      assert.equal((await readdir(dirname(tuning.store.name))).length, 2);

      assert.is(await tuning.store.clear(), true);
      assert.is(await tuning.store.clear(), false);
      assert.equal((await opened(device, tuningFile(other), other)).tuning.valid().length, 1);

      await writeFile(tuning.store.name, '{');
      const [warning] = (await opened(device, tuningFile(IDENTITY))).warnings;
      assert.ok(warning.startsWith(`${tuning.store.name} is damaged (`), warning);
    });
  }),
);

gpuTest(
  'files: where the cache cannot be written it is the temporary folder, and where neither can, an error says so',
  (device) =>
    inFolder(async (folder) => {
      const record = recordOf(device, oneProblem(device), PLAIN, 'other');
      const file = join(folder, 'file');
      await writeFile(file, '');
      const temporary = join(folder, 'temporary');
      await mkdir(temporary);
      await withPlaces(file, temporary, async () => {
        const { tuning } = await opened(device, tuningFile(IDENTITY));
        await tuning.add([record]);
        assert.ok(tuning.store.name.startsWith(temporary), tuning.store.name);
        assert.match(await readFile(tuning.store.name, 'utf8'), /"way": "direct x1 c1"/);
        assert.equal((await opened(device, tuningFile(IDENTITY))).tuning.valid().length, 1);
      });
      await withPlaces(file, file, async () => {
        const { tuning } = await opened(device, tuningFile(IDENTITY));
        const failure = await tuning.add([record]).catch((error: Error) => error);
        assert.match((failure as Error).message, new RegExp(file));
        assert.is(tuning.choose(record.op, record.key, undefined), PLAIN);
      });
    }),
);

gpuTest('files: one that others could have put there is not read, and is removed where that is wanted', (device) =>
  inFolder(async (folder) => {
    await withPlaces(join(folder, 'cache'), folder, async () => {
      const { tuning } = await opened(device, tuningFile(IDENTITY));
      await tuning.add([recordOf(device, oneProblem(device), PLAIN, 'other')]);
      const file = tuning.store.name;
      await chmod(dirname(file), 0o777);
      const again = await opened(device, tuningFile(IDENTITY));
      assert.match(
        again.warnings[0],
        /cannot be read \(.* is not a folder that only this user can write\) and is ignored/,
      );
      assert.equal(again.tuning.valid(), []);
      assert.is(await again.tuning.store.clear(), true);
      assert.is(again.tuning.store.name, file);
      assert.equal((await opened(device, tuningFile(IDENTITY))).warnings, []);
    });
  }),
);

gpuTest('files: a good one is read though a newer one in the other place cannot be', (device) =>
  inFolder(async (folder) => {
    const record = recordOf(device, oneProblem(device), PLAIN, 'other');
    const [cache, temporary, file] = ['cache', 'temporary', 'file'].map((name) => join(folder, name));
    await mkdir(temporary);
    await writeFile(file, '');
    await withPlaces(cache, temporary, async () => (await opened(device, tuningFile(IDENTITY))).tuning.add([record]));
    await withPlaces(file, temporary, async () => {
      const { tuning } = await opened(device, tuningFile(IDENTITY));
      await tuning.add([record]);
      await chmod(dirname(tuning.store.name), 0o777);
    });
    await withPlaces(cache, temporary, async () => {
      const { tuning, warnings } = await opened(device, tuningFile(IDENTITY));
      assert.equal(warnings, []);
      assert.is(tuning.valid().length, 1);
      assert.ok(tuning.store.name.startsWith(cache));
    });
  }),
);

run();
