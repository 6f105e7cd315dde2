/** The README names every method, ablation, verb and constant of ACTION, and no verb or file that there is not. */
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { VERBS } from '../runner/commands/verbs.ts';
import { METHODS, trainConfig } from '../runner/train/config.ts';
import { ABLATION_NAMES, ACTION_STAGES, PRESET_NAMES } from '../runner/train/config_action.ts';

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
const coded = new Set([...readme.matchAll(/`([^`\n]+)`/g)].map(([, code]) => code));

function named(what: string, names: readonly string[]): void {
  const missing = names.filter((name) => !coded.has(name));
  assert.equal(missing, [], `${what} that the README does not name`);
}

test('methods, stages and ablations are named', () => {
  named('methods', METHODS);
  named('stages', ACTION_STAGES);
  named('ablations', ABLATION_NAMES);
  named(
    'presets',
    PRESET_NAMES.filter((name) => !coded.has(`--preset ${name}`)),
  );
});

test('every constant of a method is named', () => {
  const config = trainConfig({ method: 'action' });
  assert.ok(config.method === 'action');
  const { stages: _, ...sections } = config.action;
  named(
    'sections',
    Object.keys(sections).map((name) => `action.${name}`),
  );
  named(
    'constants',
    Object.values(sections).flatMap((section) => Object.keys(section)),
  );
  for (const method of ['mean-teacher', 'ua-mt', 'cps'] as const) {
    const own = Object.entries(trainConfig({ method })).filter(([name]) =>
      ['meanTeacher', 'uaMt', 'cps'].includes(name),
    );
    assert.is(own.length, 1);
    named(method, [own[0][0], ...Object.keys(own[0][1] as object)]);
  }
});

test('every verb has a line, and every file that is named exists', () => {
  for (const { usage } of VERBS) {
    const [verb] = usage.split(' ');
    assert.ok(
      [...coded].some((code) => code === verb || code.startsWith(`${verb} `)),
      verb,
    );
  }
  const paths = [...coded].filter((code) => /^(engine|shaders|runner|test|bench)\/[\w/]+\.ts$/.test(code));
  assert.ok(paths.length > 15);
  const invented = paths.filter((path) => !/\bx(\.wgsl|\.test)?\.ts$|layouts_x/.test(path));
  for (const path of invented) assert.ok(existsSync(new URL(`../${path}`, import.meta.url)), path);
});

test.run();
