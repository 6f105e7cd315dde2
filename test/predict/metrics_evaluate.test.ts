import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { CheckError, DataError, UsageError } from '../../engine/errors.ts';
import { type EvaluateOptions, evaluate } from '../../runner/commands/evaluate.ts';
import { evaluateFolders } from '../../runner/commands/evaluate_folders.ts';
import { writeNifti } from '../../runner/data/nifti.ts';
import type { SourceGeometry } from '../../runner/data/volume.ts';
import { summaryText } from '../../runner/report/summary.ts';
import { printed } from '../captured.ts';

/** 3 x 1 x 4 voxels [z, y, x] of 2 x 1 x 1 mm in RAS, unless `spacing` or `flip` says otherwise. */
function geometry(options: { flip?: boolean; z?: number; shift?: number; nz?: number } = {}): SourceGeometry {
  const { flip = false, z = 2, shift = 0, nz = 3 } = options;
  const affine = [flip ? -1 : 1, 0, 0, shift + (flip ? 3 : 0), 0, 1, 0, 0, 0, 0, z, 0, 0, 0, 0, 1];
  return {
    dim: [4, 1, nz],
    affine,
    axes: [
      { axis: 0, flip },
      { axis: 1, flip: false },
      { axis: 2, flip: false },
    ],
  };
}

const labels = {
  a: [0, 1, 1, 0, 0, 1, 1, 0, 0, 2, 2, 0],
  b: [1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0],
};
const predictions = {
  a: [0, 1, 1, 0, 0, 1, 1, 0, 0, 0, 2, 2],
  b: [0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0],
};

const folders = suite<{ root: string }>('evaluate');

folders.before.each(async (context) => {
  context.root = await mkdtemp(join(tmpdir(), 'evaluate-'));
  for (const folder of ['pred', 'labels']) await mkdir(join(context.root, folder));
});

folders.after.each(async ({ root }) => {
  await rm(root, { recursive: true });
});

async function put(
  root: string,
  file: string,
  voxels: ArrayLike<number>,
  source = geometry(),
  labelNames?: Record<number, string>,
): Promise<void> {
  const data = Array.from(voxels).some((value) => value < 0 || value % 1 !== 0)
    ? Float32Array.from(voxels)
    : Uint8Array.from(voxels);
  await writeFile(join(root, file), await writeNifti(data, source, { labelNames }));
}

async function putAll(root: string): Promise<void> {
  for (const name of ['a', 'b'] as const) {
    await put(root, `pred/${name}.nii.gz`, predictions[name]);
    await put(root, `labels/${name}.nii.gz`, labels[name]);
  }
}

/** What is thrown, which must be of the given type, with the temporary folder cut from its message. */
async function thrown(root: string, type: new (...args: never[]) => Error, action: Promise<unknown>): Promise<string> {
  const error = await action.then(
    () => assert.unreachable(`no ${type.name}`),
    (failure) => failure,
  );
  assert.instance(error, type, String(error));
  return error.message.replaceAll(`${root}/`, '');
}

/** Runs the command; its exit code and everything it put on stdout. */
const run = (root: string, options: EvaluateOptions) =>
  printed(() => evaluate(join(root, 'pred'), join(root, 'labels'), options));

folders('prints a table of every label, the interval, the weakest cases and what was empty', async ({ root }) => {
  await putAll(root);
  await writeFile(join(root, 'dataset.json'), '{"labels": {"background": 0, "heart": 1, "lung": 2}}');
  const summary = await evaluateFolders(join(root, 'pred'), join(root, 'labels'));
  const { low, high } = summary.foreground_dice_interval!;
  assert.is(
    summaryText(summary),
    [
      'label        Dice    IoU  HD95 mm  ASD mm  ASSD mm  volume ml  reference ml',
      '───────────────────────────────────────────────────────────────────────────',
      '1 heart     0.833  0.750     0.50    0.00     0.17      0.006         0.008',
      '2 lung      0.750  0.667     1.00    0.50     0.50      0.002         0.002',
      '───────────────────────────────────────────────────────────────────────────',
      'foreground  0.792  0.708     0.75    0.25     0.33      0.004         0.005',
      '',
      `2 cases, foreground Dice 0.792 (95 % bootstrap interval ${low.toFixed(3)} to ${high.toFixed(3)})`,
      'weakest: a 0.750, b 0.833',
      '2 lung: 1 case in neither prediction nor reference: Dice 1, no distance',
    ].join('\n'),
  );
  const { code, text } = await run(root, {});
  assert.is(code, 0);
  assert.is(text, `${summaryText(summary)}\n`);
});

folders('--json prints one value, equal to the file that -o writes', async ({ root }) => {
  await putAll(root);
  const output = join(root, 'new', 'summary.json');
  const { text } = await run(root, { json: true, units: 'voxel', output });
  assert.is(await readFile(output, 'utf8'), text);
  assert.equal(await readdir(join(root, 'new')), ['summary.json']);
  const summary = JSON.parse(text);
  assert.is(summary.units, 'voxel');
  assert.is(summary.metric_per_case[0].prediction_file, join(root, 'pred', 'a.nii.gz'));
  assert.is(summary.metric_per_case[0].reference_file, join(root, 'labels', 'a.nii.gz'));
  assert.is(summary.metric_per_case[1].metrics[2].HD95, null);
  assert.equal(summary.both_empty, { 1: 0, 2: 1 });
});

folders('an existing output is kept without --force', async ({ root }) => {
  await putAll(root);
  const output = join(root, 'summary.json');
  await writeFile(output, 'mine');
  assert.is(
    await thrown(root, UsageError, run(root, { output })),
    'summary.json exists already; give another place or --force to replace it',
  );
  assert.is(await readFile(output, 'utf8'), 'mine');
  await run(root, { output, force: true });
  assert.ok(JSON.parse(await readFile(output, 'utf8')).foreground_mean);
});

folders('an output that cannot be written is told before anything is read or printed', async ({ root }) => {
  await writeFile(join(root, 'file'), '');
  await mkdir(join(root, 'full'));
  const { text } = await printed(async () => {
    for (const json of [false, true]) {
      const refused = (output: string, force = false) =>
        thrown(
          root,
          UsageError,
          evaluate(join(root, 'no'), join(root, 'no'), { output: join(root, output), force, json }),
        );
      assert.is(
        await refused('file/summary.json'),
        'file/summary.json cannot be written because part of the path is a file, not a folder; give another place',
      );
      for (const force of [false, true])
        assert.is(
          await refused('full', force),
          'full cannot be written because there is a folder of that name; give a file in it',
        );
    }
  });
  assert.is(text, '');
});

folders('--min-dice fails after writing, and options out of range are refused', async ({ root }) => {
  await putAll(root);
  const output = join(root, 'summary.json');
  assert.is(
    await thrown(root, CheckError, run(root, { minDice: 0.9, output })),
    'the foreground mean Dice 0.7917 is below the 0.9 asked for by --min-dice',
  );
  assert.ok(JSON.parse(await readFile(output, 'utf8')).foreground_mean);
  assert.is((await run(root, { minDice: 0.79 })).code, 0);
  assert.is(await thrown(root, UsageError, run(root, { minDice: 85 })), '--min-dice is a number from 0 to 1, not 85');
  assert.is(await thrown(root, UsageError, run(root, { units: 'cm' as 'mm' })), '--units is mm or voxel, not cm');
});

folders('files stored in another orientation are scored on the same voxels', async ({ root }) => {
  await putAll(root);
  const before = await evaluateFolders(join(root, 'pred'), join(root, 'labels'));
  await put(root, 'pred/a.nii.gz', predictions.a, geometry({ flip: true }));
  assert.equal(await evaluateFolders(join(root, 'pred'), join(root, 'labels')), before);
});

folders(
  'labels of dataset.json are scored though no case has them, and labels_map applies to references',
  async ({ root }) => {
    await put(root, 'pred/a.nii.gz', labels.a);
    await put(
      root,
      'labels/a.nii.gz',
      labels.a.map((value) => (value === 1 ? 255 : value)),
    );
    const json = { labels: { background: 0, heart: 1, lung: 2, rare: 3 }, labels_map: { 255: 1 } };
    await writeFile(join(root, 'labels', 'dataset.json'), JSON.stringify(json));
    const summary = await evaluateFolders(join(root, 'pred'), join(root, 'labels'));
    assert.equal(summary.label_names, { 1: 'heart', 2: 'lung', 3: 'rare' });
    assert.equal(summary.both_empty, { 1: 0, 2: 0, 3: 1 });
    assert.is(summary.foreground_mean.Dice, 1);
  },
);

folders('names in the header of a prediction stand in for dataset.json', async ({ root }) => {
  await putAll(root);
  const rare = labels.a.map((value) => (value === 1 ? 3 : value));
  await put(root, 'pred/a.nii.gz', rare, geometry(), { 1: 'heart', 2: 'lung', 3: 'rare' });
  const { label_names, empty_references } = await evaluateFolders(join(root, 'pred'), join(root, 'labels'));
  assert.equal(label_names, { 1: 'heart', 2: 'lung', 3: 'rare' });
  assert.equal(empty_references, { 1: 0, 2: 0, 3: 1 });
});

folders('everything that is wrong is told at once', async ({ root }) => {
  await putAll(root);
  await put(root, 'pred/extra.nii.gz', labels.a);
  await put(root, 'labels/late.nii.gz', labels.a);
  await put(root, 'pred/shape.nii.gz', labels.a.slice(0, 8), geometry({ nz: 2 }));
  await put(root, 'labels/shape.nii.gz', labels.a);
  await put(root, 'pred/shift.nii.gz', labels.a, geometry({ shift: 1 }));
  await put(root, 'labels/shift.nii.gz', labels.a);
  await put(root, 'pred/unknown.nii.gz', [7, ...labels.a.slice(1)]);
  await put(root, 'labels/unknown.nii.gz', labels.a);
  await put(root, 'pred/negative.nii.gz', [-1, ...labels.a.slice(1)]);
  await put(root, 'labels/negative.nii.gz', labels.a);
  await put(root, 'pred/soft.nii.gz', [0.5, ...labels.a.slice(1)]);
  await put(root, 'labels/soft.nii.gz', labels.a);
  await writeFile(join(root, 'pred/torn.nii.gz'), (await readFile(join(root, 'pred/a.nii.gz'))).subarray(0, 60));
  await put(root, 'labels/torn.nii.gz', labels.a);
  const message = await thrown(root, DataError, evaluateFolders(join(root, 'pred'), join(root, 'labels')));
  const [head, ...lines] = message.replaceAll(root, '').split('\n  ');
  assert.is(head, '8 problems:');
  const expected = [
    /^labels has no reference for extra, which pred predicts; add it or move the prediction away$/,
    /^pred has no prediction for late, which labels labels; predict it, or pass --partial to score the others$/,
    /^pred\/negative\.nii\.gz has the label -1; use whole numbers from 0 to 65535$/,
    /^pred\/shape\.nii\.gz does not lie on the voxels of labels\/shape\.nii\.gz: shape \[z, y, x\] 2,1,4 against 3,1,4; /,
    /^pred\/shift\.nii\.gz does not lie on the voxels of labels\/shift\.nii\.gz: .*1\.00 mm apart; /,
    /^pred\/soft\.nii\.gz .*0\.5/,
    /^pred\/torn\.nii\.gz .*cut short/,
    /^pred\/unknown\.nii\.gz has the label 7 but the references hold \{0, 1, 2\}; put a dataset\.json that names it beside /,
  ];
  expected.forEach((pattern, i) => {
    assert.match(lines[i], pattern);
  });
});

folders('--partial leaves out references without a prediction', async ({ root }) => {
  await putAll(root);
  await rm(join(root, 'pred/b.nii.gz'));
  assert.is(
    await thrown(root, DataError, evaluateFolders(join(root, 'pred'), join(root, 'labels'))),
    'pred has no prediction for b, which labels labels; predict it, or pass --partial to score the others',
  );
  const { metric_per_case } = await evaluateFolders(join(root, 'pred'), join(root, 'labels'), { partial: true });
  assert.is(metric_per_case.length, 1);
});

folders(
  'a label that dataset.json does not name, an image instead of a label, folders of nothing',
  async ({ root }) => {
    const [pred, truth] = [join(root, 'pred'), join(root, 'labels')];
    assert.is(
      await thrown(root, DataError, evaluateFolders(pred, truth)),
      'pred holds no .nii.gz or .nii file; check the folder',
    );
    await put(root, 'pred/a.nii.gz', new Uint8Array(12));
    await put(root, 'labels/a.nii.gz', new Uint8Array(12));
    assert.is(
      await thrown(root, DataError, evaluateFolders(pred, truth)),
      'labels holds nothing but background in 1 reference; check that it is the right folder',
    );
    await put(root, 'labels/a.nii.gz', labels.a);
    await writeFile(join(root, 'dataset.json'), '{"labels": {"0": "background", "1": "heart"}}');
    assert.is(
      await thrown(root, DataError, evaluateFolders(pred, truth)),
      'labels/a.nii.gz has the label 2 but dataset.json names {0, 1}; correct the file or dataset.json',
    );
    const wide = { ...geometry(), dim: [300, 1, 1] as const };
    await put(root, 'pred/a.nii.gz', new Uint8Array(300), wide);
    await put(
      root,
      'labels/a.nii.gz',
      Float32Array.from({ length: 300 }, (_, i) => i - 2),
      wide,
    );
    assert.is(
      await thrown(root, DataError, evaluateFolders(pred, truth)),
      'labels/a.nii.gz has 300 different values from -2 to 297, like an image and not like a label; check that it is in the right folder',
    );
    assert.match(await thrown(root, DataError, evaluateFolders(join(root, 'none'), truth)), /^none does not exist; /);
    assert.match(
      await thrown(root, DataError, evaluateFolders(join(root, 'dataset.json'), truth)),
      /is a file where a folder is needed; /,
    );
  },
);

folders.run();
