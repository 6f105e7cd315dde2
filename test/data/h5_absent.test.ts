import { register } from 'node:module';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readH5 } from '../../runner/data/h5.ts';

// A process of its own, in which the optional package cannot be found.
const hook = `export function resolve(name, context, next) {
  if (name === 'h5wasm') throw new Error('not installed');
  return next(name, context);
}`;
register(`data:text/javascript,${encodeURIComponent(hook)}`);

test('without h5wasm the message says how to get it', async () => {
  const signature = Uint8Array.from([0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a]);
  let message = '';
  await readH5(signature, 'LA/a.h5', 'image').catch((failure: Error) => {
    message = failure.message;
  });
  assert.is(
    message,
    'LA/a.h5 is an HDF5 file and the package h5wasm, which reads it, is not installed; run `npm install h5wasm`',
  );
});

test.run();
