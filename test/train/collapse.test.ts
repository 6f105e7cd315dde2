import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { CollapseWatch } from '../../runner/train/collapse.ts';

test('keys that stay alike for twenty steps in a row are told of once a bank', () => {
  const watch = new CollapseWatch();
  const said: string[] = [];
  const after = (global_cosine: number, local_cosine = 0.5) => {
    const sentence = watch.after({ loss: 1, global_cosine, local_cosine });
    if (sentence) said.push(sentence);
  };
  for (let i = 0; i < 19; i++) after(0.99);
  after(0.97);
  for (let i = 0; i < 19; i++) after(0.985);
  assert.equal(said, []);
  for (let i = 0; i < 30; i++) after(0.9912);
  assert.is(said.length, 1);
  assert.match(
    said[0],
    /^the global keys have collapsed: .* above 0\.98 for 20 steps \(0\.9912 now\).*action\.global\.centre/,
  );
  for (let i = 0; i < 25; i++) after(0.5, 1);
  assert.is(said.length, 2);
  assert.match(said[1], /^the local keys/);
});

test('losses without cosines, as in other stages, are no collapse', () => {
  const watch = new CollapseWatch();
  for (let i = 0; i < 40; i++) assert.is(watch.after({ loss: 1 }), undefined);
});

test.run();
