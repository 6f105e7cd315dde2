/** The benchmark on the hippocampus volumes: its arithmetic by hand, its order, and all of it once on phantoms. */
import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type BenchmarkOptions, benchmark, report } from '../bench/hippocampus/benchmark.ts';
import { jobName, jobsOf, scoredCases, validationIds } from '../bench/hippocampus/jobs.ts';
import { configOf, equalComputeSteps, METHOD_NAMES, methodHash } from '../bench/hippocampus/methods.ts';
import { PYTORCH } from '../bench/hippocampus/pytorch.ts';
import { RECIPES, type Recipe, withSteps } from '../bench/hippocampus/recipes.ts';
import type { JobRecord } from '../bench/hippocampus/record.ts';
import { gapClosed, margin, mean, type Run, sd } from '../bench/hippocampus/scores.ts';
import { markdown } from '../bench/hippocampus/table.ts';
import { synth } from '../runner/commands/synth.ts';
import { STOPPED } from '../runner/host/stop.ts';
import { trainConfig } from '../runner/train/config.ts';
import { inFolder } from './data/corpus.ts';
import { run } from './harness.ts';

const REFERENCE = RECIPES.reference;

function made(method: string, labelled: number, seed: number, dice: readonly number[]): Run {
  const cases = Object.fromEntries(dice.map((value, i) => [`case${i}`, value]));
  const scores = { Dice: mean(dice) as number, IoU: 0.5, HD95: 2, ASD: 1, ASSD: 0.75 };
  return { method, labelled, seed, scores, cases, gflop: 1000, cpuSeconds: 3600, wallSeconds: 1800 };
}

test('seed 0 of everything comes first, full supervision once a seed', () => {
  const jobs = jobsOf({
    methods: ['action', 'fully-supervised', 'supervised'],
    labels: [1, 4],
    seeds: [0, 1],
    all: 160,
  });
  const seed0 = ['supervised-k1-s0', 'supervised-k4-s0', 'fully-supervised-k160-s0', 'action-k1-s0', 'action-k4-s0'];
  assert.equal(jobs.map(jobName), [...seed0, ...seed0.map((name) => name.replace('s0', 's1'))]);
});

test('validation cases are every eighth by name, 20 at most, none of the first four of the list', () => {
  const ids = Array.from({ length: 160 }, (_, i) => `c${String((i * 37) % 160).padStart(3, '0')}`);
  const chosen = validationIds(ids);
  assert.is(chosen.length, 20);
  // c000, c037, c074 and c111 lead the list
  assert.equal(chosen.slice(0, 6), ['c001', 'c009', 'c017', 'c025', 'c033', 'c042']);
  assert.equal(validationIds(['d', 'c', 'b', 'a', 'z', 'y']), ['y']);
  const dataset = { labelled: [] } as unknown as Parameters<typeof scoredCases>[1];
  assert.throws(() => scoredCases('data', dataset, [1, 8], true), /asks for 8 labelled ones; give at most 4/);
});

test('every method and ablation of each recipe is a configuration; equal constants have equal hashes', async () => {
  for (const recipe of Object.values(RECIPES)) {
    const hashes = await Promise.all(METHOD_NAMES.map((name) => methodHash(name, recipe)));
    // supervised and fully supervised differ in their cases only
    assert.is(new Set(hashes).size, METHOD_NAMES.length - 1);
  }
  const steps = (name: (typeof METHOD_NAMES)[number]) => trainConfig(configOf(name, REFERENCE)).steps;
  assert.equal(
    (['supervised', 'cps', 'action', 'action-without-stage1', 'action-without-global'] as const).map(steps),
    [600, 600, 700, 600, 600],
  );
  const trial = withSteps(REFERENCE, 60);
  assert.equal([configOf('ua-mt', trial).steps, trainConfig(configOf('action', trial)).steps], [60, 10 + 25 + 35]);
  assert.is(trial.action.global?.K, 36);
  assert.is.not(await methodHash('action', trial), await methodHash('action', REFERENCE));
});

test('steps of equal compute', () => {
  assert.is(equalComputeSteps(100 * 6.6 + 250 * 21.3 + 350 * 18.6, 8), 1562); // 12,495 / 8 = 1561.9
  assert.is(equalComputeSteps(1, 8), 1);
});

test('mean and standard deviation by hand', () => {
  assert.is(mean([1, 2, 6]), 3);
  assert.is(sd([1, 2, 6]), Math.sqrt((4 + 1 + 9) / 2));
  assert.equal([mean([]), mean([1, null]), sd([1])], [null, null, null]);
});

test('a margin pairs equal seeds and equal cases', () => {
  const supervised = [made('supervised', 1, 0, [0.5, 0.75]), made('supervised', 1, 1, [0.25, 0.5])];
  const ours = [made('action', 1, 1, [0.75, 0.5]), made('action', 1, 0, [0.75, 0.5]), made('action', 1, 7, [1, 1])];
  // seed 1: +0.5, 0; seed 0: +0.25, -0.25; seed 7 has no partner
  assert.equal(margin(ours, supervised), { mean: 0.125, sd: Math.sqrt(2 * 0.125 ** 2), wins: 2, pairs: 4 });
  assert.is(margin(ours.slice(2), supervised), null);
  const full = [made('fully-supervised', 9, 0, [1, 1])];
  assert.is(gapClosed(ours, supervised, full), 0.125 / (1 - 0.5));
  assert.equal([gapClosed(ours, supervised, []), gapClosed(ours, full, supervised)], [null, null]);
});

test("PyTorch's ACTION closes 28, 5 and 43 % of the gap at 1, 2 and 4 labels", () => {
  const of = (method: string, k: number) => PYTORCH.filter((r) => r.method === method && (k === 0 || r.labelled === k));
  const shares = [1, 2, 4].map((k) => gapClosed(of('action', k), of('supervised', k), of('fully-supervised', 0)));
  assert.equal(
    shares.map((share) => Math.round(100 * (share as number))),
    [28, 5, 43],
  );
  // 0.8568 - 0.84435
  assert.ok(Math.abs((margin(of('action', 4), of('supervised', 4))?.mean as number) - 0.01245) < 1e-12);
  assert.is(margin(of('action', 4), of('supervised', 4))?.wins, null);
});

test('the table has a row for each method, full supervision beside every number of labels', () => {
  const about = { adapter: 'some GPU', date: '2026-01-31' };
  const runs = [
    made('action', 4, 0, [0.75, 0.5]),
    made('supervised', 4, 0, [0.5, 0.5]),
    made('fully-supervised', 160, 0, [0.75, 0.75]),
    made('supervised', 1, 0, [0.25, 0.25]),
  ].map((each) => ({ ...each, ...about }));
  const text = markdown(runs, { title: 'Trial' });
  const rows = text.split('\n').filter((line) => /^\| [a-z]+[- ]/.test(line) && !line.startsWith('| method'));
  const costs = '1 000 | 1.0 | 0.50 |';
  assert.equal(rows, [
    `| supervised | 1 | 0.2500 | - | 0.5000 | 2.000 | 1.000 | 0.750 | - | - | - | ${costs}`,
    `| fully-supervised | 1 | 0.7500 | - | 0.5000 | 2.000 | 1.000 | 0.750 | +0.5000 | 2 of 2 | - | ${costs}`,
    `| supervised | 1 | 0.5000 | - | 0.5000 | 2.000 | 1.000 | 0.750 | - | - | - | ${costs}`,
    `| fully-supervised | 1 | 0.7500 | - | 0.5000 | 2.000 | 1.000 | 0.750 | +0.2500 | 2 of 2 | - | ${costs}`,
    `| action | 1 | 0.6250 | - | 0.5000 | 2.000 | 1.000 | 0.750 | +0.1250 | 1 of 2 | 50 % | ${costs}`,
  ]);
  assert.match(text, /^Trial; 2 cases; some GPU; until 2026-01-31\.\n/);
  assert.match(text, /### 1 labelled case\n[^#]*### 4 labelled cases\n/);
  assert.match(
    markdown(runs, { title: 'Trial', peers: { name: 'PyTorch', runs: PYTORCH } }),
    /\| PyTorch, action \| 2 \| 0\.8568 \|/,
  );
  assert.is(markdown([], { title: 'Trial' }), 'Trial: no run has finished.');
});

const TINY: Recipe = {
  every: { network: { channels: [4, 8] }, patch: [8, 8, 8], batch: 2, validation: 0 },
  oneStage: { steps: 2 },
  action: {
    ...{ stage1a: { steps: 2 }, stage1b: { steps: 2 }, stage2: { steps: 2 } },
    ...{ global: { K: 4, bins: 1 }, local: { K: 4, pool: 2, window: 2, stride: 2 } },
  },
  volumes: { stage2: { steps: 3 } },
};

test('on phantoms: trained, scored, kept, refused where the constants changed, and reported', () =>
  inFolder(async (folder) => {
    const [data, runs] = [join(folder, 'data'), join(folder, 'runs')];
    await synth(data, { cases: 6, labelled: 6, test: 1, size: 16, classes: 2, quiet: true });
    const options: BenchmarkOptions = {
      ...{ data, runs, recipe: { name: 'tiny', constants: TINY }, methods: ['supervised-equal-compute', 'action'] },
      ...{
        labels: [1],
        seeds: [0],
        select: false,
        gpu: process.env.ACTION3D_GPU ?? 'auto',
        budgetHours: 1,
        quiet: true,
      },
    };
    assert.is(await benchmark({ ...options, budgetHours: 0 }), STOPPED);
    assert.match(await report(options), /no run has finished/);
    assert.is(await benchmark(options), 0);

    const at = (...path: string[]) => join(runs, 'tiny', ...path);
    const names = ['action-k1-s0', 'supervised-equal-compute-k1-s0'];
    assert.equal((await readdir(at())).sort(), names, 'no table without a finished run');
    const [action, supervised] = await Promise.all(
      names.map(async (name): Promise<JobRecord> => JSON.parse(await readFile(at(name, 'job.json'), 'utf8'))),
    );
    assert.is(action.steps, 6);
    const perStep = supervised.gflop / supervised.steps;
    assert.ok(Math.abs(supervised.gflop - action.gflop) <= perStep / 2, `${supervised.gflop} and ${action.gflop}`);
    for (const { training, prediction, adapter } of [action, supervised]) {
      assert.ok(training.wall > 0 && training.cpu > 0 && (prediction.test?.wall as number) > 0 && adapter !== '');
    }
    const config = JSON.parse(await readFile(at(names[1], 'config.json'), 'utf8'));
    assert.equal([config.method, config.steps, config.seed], ['supervised', supervised.steps, 0]);

    const before = await stat(at(names[0], 'model.safetensors'));
    await rm(at(names[0], 'summary.json'));
    const changed = { ...TINY, oneStage: { steps: 3 } };
    // of both methods only the supervised one has other constants: it fails, the other is scored anew and trained no more
    assert.is(await benchmark({ ...options, recipe: { name: 'tiny', constants: changed } }), 2);
    assert.is((await stat(at(names[0], 'model.safetensors'))).mtimeMs, before.mtimeMs);
    const text = await report(options);
    assert.match(text, /^Recipe tiny, test cases; 1 cases;/);
    assert.match(text, /\n\| action \| 1 \| [\d.]+ \|.*\n\| supervised-equal-compute \| 1 \|/);
    assert.is(await readFile(at('table-test.md'), 'utf8'), `${text}\n`);

    const onward = { ...options, methods: ['action-volumes'] as const };
    assert.is(await benchmark({ ...onward, labels: [2] }), 2, 'there is no ACTION of two labels to go on from');
    assert.is(await benchmark(onward), 0);
    const volumes: JobRecord = JSON.parse(await readFile(at('action-volumes-k1-s0', 'job.json'), 'utf8'));
    assert.is(volumes.steps, 6 + 3);
    const own = JSON.parse(await readFile(at('action-volumes-k1-s0', 'config.json'), 'utf8'));
    assert.equal([own.steps, own.action.stage2.pseudo, own.action.stages], [3, 'volume', ['2']]);
    assert.ok(own.from);

    assert.is(await benchmark({ ...options, methods: ['fully-supervised'], select: true }), 0);
    const split = JSON.parse(await readFile(at('fully-supervised-k5-s0', 'split.json'), 'utf8'));
    assert.equal(
      split.labelled,
      ['0001', '0002', '0003', '0004', '0006'].map((id) => `phantom_${id}`),
    );
    const summary = JSON.parse(await readFile(at('fully-supervised-k5-s0', 'summary-validation.json'), 'utf8'));
    assert.match(summary.metric_per_case[0].reference_file, /labelsTr\/phantom_0005\.nii\.gz$/);
    assert.is(summary.metric_per_case.length, 1);
  }));

run();
