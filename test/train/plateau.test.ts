import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { PlateauWatch } from '../../runner/train/plateau.ts';

const end = (losses: readonly number[]) => {
  const watch = new PlateauWatch();
  return losses.map((dice, i) => watch.after({ loss: 1, dice }, i === losses.length - 1));
};

test('a labelled Dice loss that stays high is told of once, behind the last step', () => {
  const said = end([...new Array(30).fill(0.9), ...new Array(20).fill(0.264)]);
  assert.is(said.filter(Boolean).length, 1);
  assert.match(said[49] as string, /^the labelled Dice loss ends at 0\.264, above 0\.2: .*action\.stage1b\.steps$/);
});

test('a stage that learned the classes in the end, and one without a labelled loss, say nothing', () => {
  assert.equal(end([...new Array(30).fill(0.9), ...new Array(20).fill(0.1)]).filter(Boolean), []);
  assert.is(new PlateauWatch().after({ loss: 1 }, true), undefined);
});

test.run();
