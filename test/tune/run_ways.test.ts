/** A run goes on with the ways it was started with, however its adapter is tuned meanwhile. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Device } from '../../engine/device.ts';
import { dryGpu } from '../../engine/dry_gpu.ts';
import { CONV3D } from '../../engine/ops/conv3d_ways.ts';
import { tuneCommand } from '../../runner/commands/tune.ts';
import { openGpu } from '../../runner/host/node.ts';
import { tunedAdapter } from '../../runner/host/opened_gpu.ts';
import { trainConfig } from '../../runner/train/config.ts';
import { RUN_FILES } from '../../runner/train/run_store.ts';
import { networkProblems } from '../../runner/tune/network_problems.ts';
import { problemOf } from '../../runner/tune/problem_data.ts';
import { captured } from '../captured.ts';
import { inFolder } from '../data/corpus.ts';
import { rejects } from '../data/rejects.ts';
import { run } from '../harness.ts';
import { resultOf, tinyDataset, trainHere } from '../train/tiny_run.ts';
import { recordOf } from './parts.ts';

const gpu = process.env.ACTION3D_GPU;

/** Stores `pick`'s way for every convolution of the tiny run, as if it had been found to be the fastest. */
async function pretendTuned(run: string, pick: (names: readonly string[]) => string | undefined): Promise<void> {
  const opened = await openGpu({ gpu });
  const adapter = tunedAdapter(opened);
  const dry = new Device(dryGpu(adapter.limits), adapter);
  const config = trainConfig(JSON.parse(await readFile(join(run, RUN_FILES.config), 'utf8')));
  const found = await networkProblems(adapter, [config], { inChannels: 1, classes: 2 });
  const records = found.flatMap((item) => {
    if (item.op !== CONV3D.op) return [];
    const problem = problemOf(item.problem, (...words) => dry.tensor(...words));
    const way = pick(CONV3D.ways.filter((each) => each.serves(dry, problem as never)).map(({ name }) => name));
    return way ? [recordOf(dry, item, way, 'pretended')] : [];
  });
  await opened.tuning?.add(records);
  assert.ok((opened.tuning?.chosen().length ?? 0) >= 5);
  opened.close();
}

test('started untuned or tuned, a run ends as it would have without further tuning', () =>
  inFolder(async (folder) => {
    const before = process.env.XDG_CACHE_HOME;
    process.env.XDG_CACHE_HOME = join(folder, 'cache');
    try {
      const data = await tinyDataset(folder);
      const [plain, first, second, third] = ['plain', 'first', 'second', 'third'].map((name) => join(folder, name));
      const saved = async (run: string) => JSON.parse(await readFile(join(run, RUN_FILES.tuning), 'utf8'));
      assert.is(await trainHere(data, plain, { steps: 3 }), 0);
      assert.equal((await saved(plain))[0].ways, []);
      assert.is(await trainHere(data, first, { steps: 3, maxHours: 0 }), 75);

      await pretendTuned(plain, (names) => names.find((name) => /direct.*winograd/.test(name)));
      assert.is(await trainHere(data, first, { steps: 3 }), 0);
      assert.equal(await resultOf(first), await resultOf(plain), 'begun before it was tuned');

      assert.is(await trainHere(data, second, { steps: 3 }), 0);
      const ways: { way: string }[] = (await saved(second))[0].ways;
      assert.ok(ways.length >= 5 && ways.every(({ way }) => /winograd/.test(way)));
      const tuned = await resultOf(second);
      assert.not.equal(
        tuned[RUN_FILES.weights],
        (await resultOf(plain))[RUN_FILES.weights],
        'other kernels, other bits',
      );

      assert.is(await trainHere(data, third, { steps: 3, maxHours: 0 }), 75);
      await captured(() => tuneCommand({ gpu, quiet: true, clear: true }));
      await pretendTuned(plain, (names) => names.find((name) => name === 'direct x1 c1'));
      assert.is(await trainHere(data, third, { steps: 3 }), 0);
      assert.equal(await resultOf(third), tuned, 'tuned otherwise in between');

      assert.is(await trainHere(data, third, { steps: 3, force: true, maxHours: 0 }), 75);
      assert.match(JSON.stringify(await saved(third)), /direct x1 c1/);
      await writeFile(join(third, RUN_FILES.tuning), '[{}]');
      await rejects(
        () => trainHere(data, third, { steps: 3 }),
        4,
        /tuning\.json is damaged \('0\.adapter' is missing\)/,
      );

      const { code, text } = await captured(() => tuneCommand({ gpu, quiet: true, json: true, run: second }, []));
      assert.equal([code, JSON.parse(text).rows, JSON.parse(text).network], [0, [], `the run in ${second}`]);
    } finally {
      if (before === undefined) delete process.env.XDG_CACHE_HOME;
      else process.env.XDG_CACHE_HOME = before;
    }
  }));

run();
