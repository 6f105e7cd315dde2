import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { trainConfig } from '../../runner/train/config.ts';
import { type ProgressView, patchesOf, plainLine, progressLine, skippedNote } from '../../runner/train/log.ts';

const VIEW: ProgressView = {
  step: 150,
  steps: 600,
  stepMs: 41.26,
  hostMs: 1.5,
  losses: { loss: 0.25, ce: 0.125 },
  dice: 0.8125,
  gpuBytes: 96 * 1024 * 1024,
  stage: 'supervised',
};
const NOW = new Date('2030-01-02T03:04:05.678Z');

test('what a step takes is said as the stage takes it', () => {
  const action = trainConfig({ method: 'action', action: { stage1a: { batch: 3 }, stage2: { unlabelledBatch: 4 } } });
  const said = ['1a', '1b', '2'].map((stage) => patchesOf(action, stage));
  assert.equal([said[0], said[2]], ['3 patches', '2 labelled and 4 unlabelled patches']);
  assert.is(patchesOf(trainConfig({ method: 'cps', batch: 5 }), 'cps'), '5 labelled and 5 unlabelled patches');
  assert.is(patchesOf(trainConfig({ batch: 5 }), 'supervised'), '5 patches');
});

test('the line for terminals shows progress, rate, time left, losses, Dice and memory', () => {
  assert.is(
    progressLine(VIEW),
    'supervised █████░░░░░░░░░░░░░░░ 150/600  41 ms/step (host 1.5)  ETA 19 s  loss 0.2500 ce 0.1250  val Dice 0.813  GPU 96.0 MiB',
  );
});

test('the line for logs is words and key=value', () => {
  assert.is(
    plainLine(VIEW, NOW),
    '2030-01-02T03:04:05Z supervised 150/600 loss=0.2500 ce=0.1250 dice=0.813 step_ms=41.3 eta_s=19',
  );
});

test('before the second step there is no rate, and without validation no Dice', () => {
  const view = { ...VIEW, step: 1, stepMs: null, dice: null };
  assert.is(progressLine(view), 'supervised ░░░░░░░░░░░░░░░░░░░░ 1/600  loss 0.2500 ce 0.1250  GPU 96.0 MiB');
  assert.is(plainLine(view, NOW), '2030-01-02T03:04:05Z supervised 1/600 loss=0.2500 ce=0.1250');
});

test('of a loss scale the line for terminals shows skipped steps only; the stage ends with a sentence on them', () => {
  const losses = { ...VIEW.losses, loss_scale: 65536, skipped: 0 };
  assert.is(progressLine({ ...VIEW, losses }), progressLine(VIEW));
  assert.is(skippedNote(losses, 600), undefined);
  const some = { ...losses, loss_scale: 8192, skipped: 3 };
  assert.match(progressLine({ ...VIEW, losses: some }), / {2}loss 0\.2500 ce 0\.1250 {2}3 skipped {2}val Dice/);
  assert.match(plainLine({ ...VIEW, losses: some }, NOW), / loss_scale=8192 skipped=3 /);
  assert.is(
    skippedNote(some, 600),
    '3 of 600 steps changed nothing, as gradients overflowed float16 and the loss scale was halved; it is 8192 now',
  );
  assert.is(skippedNote(VIEW.losses, 600), undefined);
});

test.run();
