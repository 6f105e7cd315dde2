import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cpsDefaults, meanTeacherDefaults, uaMtDefaults } from '../../engine/baselines/options.ts';
import { UsageError } from '../../engine/errors.ts';
import { applySettings, type ConfigOf, configHash, mergeConfig, trainConfig } from '../../runner/train/config.ts';

function refused(input: unknown, where?: string): string {
  try {
    trainConfig(input, where);
  } catch (failure) {
    assert.instance(failure, UsageError);
    return (failure as Error).message;
  }
  return assert.unreachable('the configuration was taken') as never;
}

test('an empty configuration is the defaults, and they are complete', () => {
  const config = trainConfig({});
  assert.is(config.method, 'supervised');
  assert.equal(config.network.channels, [8, 16, 32, 64]);
  assert.equal(trainConfig(config), config);
});

test("the baselines' defaults are the engine's, every one of them", () => {
  const scheduleOf = ({ optimiser, steps }: ConfigOf<'mean-teacher' | 'ua-mt' | 'cps'>) => {
    const { name, ...schedule } = optimiser;
    return { ...schedule, optimiser: name, steps };
  };
  const mt = trainConfig({ method: 'mean-teacher' }) as ConfigOf<'mean-teacher'>;
  const ua = trainConfig({ method: 'ua-mt' }) as ConfigOf<'ua-mt'>;
  const cps = trainConfig({ method: 'cps' }) as ConfigOf<'cps'>;
  assert.equal({ ...scheduleOf(mt), ...mt.meanTeacher }, meanTeacherDefaults);
  assert.equal({ ...scheduleOf(ua), ...ua.uaMt }, uaMtDefaults);
  assert.equal({ ...scheduleOf(cps), ...cps.cps }, cpsDefaults);
});

test('UA-MT has no more passes than there are streams of random numbers for', () => {
  const config = trainConfig({ method: 'ua-mt', uaMt: { passes: 13 } });
  assert.is(config.method === 'ua-mt' && config.uaMt.passes, 13);
  assert.is(
    refused({ method: 'ua-mt', uaMt: { passes: 14 } }, 'run.json'),
    "run.json cannot be used: 'uaMt.passes' is 14, but random numbers are set aside for 13 passes; give 13 or fewer",
  );
});

test('unknown keys and wrong types are named all at once', () => {
  const message = refused({ stepz: 3, optimiser: { rate: 'fast', momentun: 0.9 }, patch: [1, 2] }, 'run.json');
  assert.match(message, /^run\.json cannot be used: /);
  assert.match(message, /'stepz' is not an option/);
  assert.match(message, /'optimiser\.momentun' is not an option/);
  assert.match(message, /'optimiser\.rate' is "fast", expected number/);
  assert.match(message, /'patch/);
});

test('values out of range are refused', () => {
  assert.match(refused({ steps: 0 }), /'steps' is 0, expected >=1/);
  assert.match(refused({ batch: 1.5 }), /'batch' is 1\.5/);
  assert.match(refused({ optimiser: { rate: 0 } }), /'optimiser\.rate' is 0, expected >0/);
  assert.match(refused({ network: { channels: [] } }), /'network\.channels' has 0 entries, expected >=1/);
  assert.match(refused({ method: 'magic' }), /'method' is "magic", expected \("supervised" \| .*"action"\)/);
  assert.match(refused(5), /'\(top level\)' is 5, expected Object/);
});

test('an option of other methods names them, and where ACTION has its rates', () => {
  assert.is(
    refused({ method: 'action', optimiser: { rate: 0.1 } }),
    "the configuration cannot be used: 'optimiser' is an option of methods supervised, mean-teacher, ua-mt, cps, but the method is action, whose rates are action.stage1a.rate, action.stage1b.rate, action.stage2.rate; the config.json of a run shows every option",
  );
  assert.match(refused({ method: 'cps', uaMt: {} }), /'uaMt' is an option of method ua-mt, but the method is cps; the/);
  const { method, action } = trainConfig({ method: 'action' }) as ConfigOf<'action'>;
  for (const section of ['stage1a', 'stage1b', 'stage2'] as const) {
    const set = applySettings({ method }, [`action.${section}.rate=0.125`]);
    assert.is((trainConfig(set) as ConfigOf<'action'>).action[section].rate, 0.125);
    assert.is.not(action[section].rate, 0.125);
  }
});

test('--set reads values as JSON, else as words, and makes the way to them', () => {
  const settings = ['optimiser.rate=0.1', 'network.norm=group', 'augmentation.elastic={"amplitude":3}', 'steps=7'];
  const before = { optimiser: { momentum: 0.8 }, steps: 5 };
  assert.equal(applySettings(before, settings), {
    optimiser: { momentum: 0.8, rate: 0.1 },
    network: { norm: 'group' },
    augmentation: { elastic: { amplitude: 3 } },
    steps: 7,
  });
  assert.is(before.steps, 5);
  assert.throws(() => applySettings({}, ['__proto__.steps=5']), /'__proto__' is not an option/);
  assert.throws(() => applySettings({}, ['steps']), /--set 'steps' is not of the form name=value/);
});

test('objects are merged key by key, lists replaced', () => {
  const merged = mergeConfig(
    { network: { channels: [1, 2], norm: 'group' }, steps: 1 },
    { network: { channels: [3] }, steps: undefined },
  );
  assert.equal(merged, { network: { channels: [3], norm: 'group' }, steps: 1 });
});

test('equal configurations have equal hashes, whatever the order of their keys', async () => {
  const hash = await configHash({ a: 1, b: { c: [1, 2], d: null } });
  assert.match(hash, /^[0-9a-f]{16}$/);
  assert.is(await configHash({ b: { d: null, c: [1, 2] }, a: 1 }), hash);
  assert.is.not(await configHash({ a: 1, b: { c: [2, 1], d: null } }), hash);
});

test.run();
