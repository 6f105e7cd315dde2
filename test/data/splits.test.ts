import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type ActionError, DataError, UsageError } from '../../engine/errors.ts';
import type { Dataset } from '../../runner/data/dataset.ts';
import { makeSplit, nearest, parseCaseList, type SplitOptions } from '../../runner/data/splits.ts';

const item = (id: string) => ({ id, images: [`${id}.nii.gz`], label: `labels/${id}.nii.gz` });
const dataset: Dataset = {
  name: 'Sample',
  root: 'Sample',
  layout: 'decathlon',
  channels: [{ name: 'MRI' }],
  labels: [],
  labelsMap: new Map(),
  labelled: ['case_5', 'case_1', 'case_4', 'case_2', 'case_3'].map(item),
  unlabelled: [{ id: 'extra', images: ['extra.nii.gz'] }],
  validation: [],
  test: [item('test_1')],
};
const ids = (cases: readonly { id: string }[]) => cases.map(({ id }) => id);

async function refusal(options: SplitOptions, from = dataset): Promise<ActionError> {
  try {
    await makeSplit(from, options);
  } catch (failure) {
    return failure as ActionError;
  }
  throw new Error('nothing was refused');
}

test('the first K of training are labelled, the rest lose their labels', async () => {
  const split = await makeSplit(dataset, { labelled: 2 });
  assert.equal(ids(split.labelled), ['case_5', 'case_1']);
  assert.equal(ids(split.unlabelled), ['case_4', 'case_2', 'case_3', 'extra']);
  assert.ok(split.unlabelled.every((each) => each.label === undefined));
  assert.equal(ids(split.test), ['test_1']);
  assert.equal(split.validation, []);
});

test('without a choice all labelled cases train', async () => {
  const split = await makeSplit(dataset);
  assert.is(split.labelled.length, 5);
  assert.equal(ids(split.unlabelled), ['extra']);
});

test('a list of ids chooses the cases, in its order', async () => {
  const split = await makeSplit(dataset, { labelled: ['case_3', 'case_5'] });
  assert.equal(ids(split.labelled), ['case_3', 'case_5']);
  assert.equal(ids(split.unlabelled), ['case_1', 'case_4', 'case_2', 'extra']);
});

test('validation by number is drawn from the labelled cases by the seed', async () => {
  const draws = new Set<string>();
  for (let seed = 0; seed < 20; seed++) {
    const split = await makeSplit(dataset, { labelled: 4, validation: 1, seed });
    assert.is(split.labelled.length, 3);
    const [held] = ids(split.validation);
    assert.ok(['case_5', 'case_1', 'case_4', 'case_2'].includes(held));
    assert.not.ok(ids([...split.labelled, ...split.unlabelled]).includes(held));
    assert.equal(await makeSplit(dataset, { labelled: 4, validation: 1, seed }), split);
    draws.add(held);
  }
  assert.ok(draws.size > 1, 'different seeds draw different cases');
});

test('validation by id may take any training case with a label', async () => {
  const split = await makeSplit(dataset, { labelled: 2, validation: ['case_3', 'case_1'] });
  assert.equal(ids(split.labelled), ['case_5']);
  assert.equal(ids(split.validation), ['case_3', 'case_1']);
  assert.ok(split.validation.every((each) => each.label));
  assert.equal(ids(split.unlabelled), ['case_4', 'case_2', 'extra']);
});

test("the data set's own validation cases are taken when none are asked for", async () => {
  const own = { ...dataset, validation: [item('val_1')] };
  assert.equal(ids((await makeSplit(own, { labelled: 2 })).validation), ['val_1']);
  assert.equal(ids((await makeSplit(own, { validation: 0 })).validation), []);
  assert.equal(ids((await makeSplit(own, { validation: ['val_1'] })).validation), ['val_1']);
});

test('the hash names the split', async () => {
  const hash = async (options: SplitOptions) => (await makeSplit(dataset, options)).hash;
  assert.is(await hash({ labelled: 2 }), await hash({ labelled: ['case_5', 'case_1'] }));
  assert.is.not(await hash({ labelled: 2 }), await hash({ labelled: ['case_1', 'case_5'] }));
  assert.is.not(await hash({ labelled: 2 }), await hash({ labelled: 3 }));
  assert.match(await hash({}), /^[0-9a-f]{16}$/);
});

test('each refusal says what was asked, what there is and what to do', async () => {
  const refused: [SplitOptions, string][] = [
    [{ labelled: 6 }, '6 labelled cases were asked for, but the data set has 5; choose 1 to 5'],
    [{ labelled: 0 }, '0 labelled cases were asked for, but the data set has 5; choose 1 to 5'],
    [{ labelled: 1.5 }, '1.5 labelled cases were asked for, but the data set has 5; choose 1 to 5'],
    [
      { labelled: ['cas_5'] },
      'The list of labelled cases names cas_5, which is no labelled training case; did you mean case_5?',
    ],
    [
      { labelled: ['zebra'] },
      'The list of labelled cases names zebra, which is no labelled training case; they are called like case_5',
    ],
    [
      { labelled: ['extra'] },
      'The list of labelled cases names extra, which is no labelled training case; they are called like case_5',
    ],
    [{ labelled: ['case_1', 'case_1'] }, 'The list of labelled cases names case_1 more than once; keep one line'],
    [{ labelled: [] }, 'The list of labelled cases is empty; give one case id a line'],
    [
      { labelled: 2, validation: 2 },
      '2 validation cases were asked for, but they are taken from 2 labelled ones; choose 0 to 1',
    ],
    [
      { labelled: 1, validation: ['case_5'] },
      'All 1 labelled cases are set aside for validation and none is left to train on; keep at least one for training',
    ],
  ];
  for (const [options, message] of refused) {
    const failure = await refusal(options);
    assert.instance(failure, UsageError);
    assert.is(failure.message, message);
  }
  const none = await refusal({}, { ...dataset, labelled: [] });
  assert.instance(none, DataError);
  assert.is(none.message, 'Sample has no labelled training case (1 unlabelled); add labels for at least one image');
});

test('a list file: one id a line, with endings, comments and blank lines', () => {
  assert.equal(parseCaseList('case_1\r\ncase_2.nii.gz\n\n# chosen by hand\n case_3_0000.nii.gz # big\ncase_4.h5\n'), [
    'case_1',
    'case_2',
    'case_3',
    'case_4',
  ]);
});

test('the nearest name has the fewest edits, and is no far one', () => {
  assert.is(nearest('hippocampus_98', ['hippocampus_089', 'hippocampus_198', 'liver_98']), 'hippocampus_198');
  assert.is(nearest('case', []), undefined);
  assert.is(nearest('abc', ['xyz']), undefined);
});

test.run();
