import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DataError, UsageError } from '../../engine/errors.ts';
import { readSafetensors, writeSafetensors } from '../../runner/data/safetensors.ts';
import {
  assertSameRun,
  CHECKPOINT_FORMAT,
  type Checkpoint,
  decodeCheckpoint,
  encodeCheckpoint,
} from '../../runner/train/checkpoint.ts';

const values = (seed: number) =>
  new Map([
    ['encoder.0.weight', { shape: [2, 3], data: Float32Array.from({ length: 6 }, (_, i) => Math.sin(seed + i)) }],
    ['head.bias', { shape: [1], data: Float32Array.of(seed) }],
  ]);

const SAVED: Checkpoint = {
  step: 7,
  hash: 'feed0123feed0123',
  data: '0123456789abcdef',
  stage: '1b',
  best: { dice: 0.75, step: 5 },
  groups: new Map([
    ['student', values(1)],
    ['optimiser.network.velocity', values(2)],
  ]),
};

test('a checkpoint comes back as it was saved', () => {
  const bytes = encodeCheckpoint(SAVED);
  assert.equal(decodeCheckpoint(bytes, 'a'), SAVED);
  assert.equal(encodeCheckpoint(SAVED), bytes);
  assert.is(decodeCheckpoint(encodeCheckpoint({ ...SAVED, best: null }), 'a').best, null);
});

test('every truncation is detected', () => {
  const bytes = encodeCheckpoint(SAVED);
  for (let length = 0; length < bytes.length; length++) {
    assert.throws(() => decodeCheckpoint(bytes.subarray(0, length), 'a.safetensors'), isDamage, `${length} bytes`);
  }
});

test('a changed byte is detected wherever it is', () => {
  const bytes = encodeCheckpoint(SAVED);
  for (let at = 0; at < bytes.length; at++) {
    const damaged = bytes.slice();
    damaged[at] ^= 0x10;
    assert.throws(() => decodeCheckpoint(damaged, 'a.safetensors'), isDamage, `byte ${at}`);
  }
});

test('a damaged checkpoint of a run names the ways out', () => {
  const cut = encodeCheckpoint(SAVED).subarray(0, 100);
  const renamed = writeSafetensors(new Map(), { format: CHECKPOINT_FORMAT, step: '1' });
  for (const bytes of [cut, renamed, new Uint8Array(0)]) {
    assert.throws(
      () => decodeCheckpoint(bytes, 'runs/a/checkpoints/latest.safetensors'),
      /^runs\/a\/checkpoints\/latest\.safetensors is .*; copy runs\/a\/checkpoints\/best\.safetensors over it, where there is one, .*, or remove it to start over from step 0/,
    );
    assert.throws(() => decodeCheckpoint(bytes, 'runs/a/checkpoints/best.safetensors'), /; remove it, and the weights/);
  }
});

test('another safetensors file is no checkpoint', () => {
  const other = writeSafetensors(new Map(), { format: 'pt' });
  assert.throws(() => decodeCheckpoint(other, 'weights.safetensors'), /weights\.safetensors is not a checkpoint/);
  assert.is(readSafetensors(encodeCheckpoint(SAVED), 'a').tensors.size, 4);
});

test('a checkpoint continues only the run it came from', () => {
  assertSameRun(SAVED, SAVED.hash, 'a');
  assert.throws(
    () => assertSameRun(SAVED, '0000000000000000', 'runs/a/latest'),
    (error: Error) =>
      error instanceof UsageError && /feed0123feed0123, this one is 0000000000000000/.test(error.message),
  );
});

function isDamage(error: Error): boolean {
  assert.instance(error, DataError, String(error));
  assert.match(error.message, /^a\.safetensors/);
  return true;
}

test.run();
