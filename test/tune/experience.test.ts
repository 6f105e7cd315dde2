/** What was hopeless twice for problems alike is not tried again. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Way } from '../../engine/ways.ts';
import { createExperience, createFamilies } from '../../runner/tune/experience.ts';
import { TUNABLES, type Tunable } from '../../runner/tune/tunables.ts';

const way = (name: string) => ({ name }) as Way<unknown>;
const sized = (group: string, size: number): Tunable => ({ ...TUNABLES[0], likeness: () => ({ group, size }) });

test('two problems of a group and about one size tell, the kinder of them', () => {
  const experience = createExperience();
  const known = (group: string, size: number) => experience.of(sized(group, size), {})('a');
  experience.learn(sized('3x3x3', 1000), {}, new Map([['a', 9]]));
  assert.is(known('3x3x3', 1000), undefined);
  experience.learn(
    sized('3x3x3', 2000),
    {},
    new Map([
      ['a', 5],
      ['b', 7],
    ]),
  );
  assert.is(known('3x3x3', 1000), 5);
  assert.is(known('3x3x3', 8000), 5);
  assert.is(known('3x3x3', 8001), undefined, 'only one of them is near enough');
  assert.is(known('3x3x3', 100), undefined);
  assert.is(known('1x1x1', 1000), undefined);
  assert.is(experience.of(sized('3x3x3', 1000), {})('b'), undefined);
  experience.learn(sized('3x3x3', 1000), {}, new Map([['a', 1]]));
  assert.is(known('3x3x3', 1000), 1);
});

test('a family is hopeless where two of it are, whatever their tiles', () => {
  const families = createFamilies();
  const verdict = (name: string) => families.hopeless(way(name), 1, 3);
  families.add(way('direct x8 c4 uniform'), 1.5);
  families.add(way('direct x4 c4'), 8);
  assert.is(verdict('direct x2 c4'), undefined);
  families.add(way('direct x2 c4'), 6);
  assert.is(verdict('direct x1 c4'), 6);
  assert.is(verdict('direct x1 c4 uniform'), undefined);
  families.add(way('direct x1 c1'), 2);
  assert.is(verdict('direct x1 c4'), undefined);
  assert.equal(
    [...families.ratios(0.5)],
    [
      ['direct x8 c4 uniform', 3],
      ['direct x4 c4', 16],
      ['direct x2 c4', 12],
      ['direct x1 c1', 4],
    ],
  );
});

test.run();
