import { gzipSync, inflateRawSync } from 'node:zlib';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { crc32 } from '../../runner/data/crc32.ts';
import { gunzipPrefix, gunzipRange, gzip } from '../../runner/data/gzip.ts';
import { rejects } from './rejects.ts';

/**
 * DecompressionStream as Chromium has it: anything after the first member is an error. Node's goes on. Each test
 * runs with both.
 */
class StrictDecompressionStream extends TransformStream<Uint8Array, Uint8Array> {
  constructor() {
    const parts: Uint8Array[] = [];
    super({
      transform: (chunk) => {
        parts.push(chunk);
      },
      flush: (controller) => {
        const all = Buffer.concat(parts);
        const { buffer, engine } = inflateMember(all);
        controller.enqueue(new Uint8Array(buffer));
        const end = 10 + engine.bytesWritten;
        if (all.length < end + 8) throw new TypeError('Compressed input was truncated.');
        if (all.readUInt32LE(end) !== crc32(buffer)) throw new TypeError('incorrect data check.');
        if (all.readUInt32LE(end + 4) !== buffer.length) throw new TypeError('incorrect length check.');
        if (all.length > end + 8) throw new TypeError('Junk found after end of compressed data.');
      },
    });
  }
}

function inflateMember(all: Buffer): { buffer: Buffer; engine: { bytesWritten: number } } {
  try {
    return inflateRawSync(all.subarray(10), { info: true }) as unknown as ReturnType<typeof inflateMember>;
  } catch {
    throw new TypeError('Compressed input was truncated.');
  }
}

const noise = (length: number, seed: number) => {
  let state = seed;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  });
};

const PARTS = [noise(3000, 1), new Uint8Array(70000).fill(7), noise(200, 2)];
const WHOLE = Buffer.concat(PARTS);
const MEMBERS = Buffer.concat(PARTS.map((part) => gzipSync(part)));

async function holds(file: Uint8Array): Promise<void> {
  const { data, total } = await gunzipRange(file, 'x.gz', 2990, 70100);
  assert.is(total, WHOLE.length);
  assert.equal(Buffer.from(data), WHOLE.subarray(2990, 73090));
}

for (const strict of [false, true]) {
  const host = strict ? 'as in a browser' : 'as in Node';
  const withHost = (what: string, run: () => Promise<void>) =>
    test(`${host}: ${what}`, async () => {
      const platform = globalThis.DecompressionStream;
      if (strict) globalThis.DecompressionStream = StrictDecompressionStream as unknown as typeof DecompressionStream;
      try {
        await run();
      } finally {
        globalThis.DecompressionStream = platform;
      }
    });

  withHost('one member', () => holds(gzipSync(WHOLE)));
  withHost('several members', () => holds(MEMBERS));
  withHost('zero padding', async () => {
    await holds(Buffer.concat([gzipSync(WHOLE), Buffer.alloc(512)]));
    await holds(Buffer.concat([MEMBERS, Buffer.alloc(3)]));
  });
  withHost('a gzip header among the stored bytes of a member is no member', async () => {
    const decoy = Buffer.concat([noise(100, 3), gzipSync(Buffer.from('decoy')), noise(100, 4)]);
    const file = Buffer.concat([gzipSync(decoy, { level: 0 }), gzipSync(decoy, { level: 0 })]);
    const { data, total } = await gunzipRange(file, 'x.gz', 0, 2 * decoy.length);
    assert.is(total, 2 * decoy.length);
    assert.equal(Buffer.from(data), Buffer.concat([decoy, decoy]));
  });
  withHost('a start across members', async () => {
    assert.equal(Buffer.from(await gunzipPrefix(MEMBERS, 'x.gz', 3100)), WHOLE.subarray(0, 3100));
    assert.is((await gunzipPrefix(MEMBERS, 'x.gz', 100000)).length, WHOLE.length);
  });
  withHost('the last member cut short', async () => {
    const file = MEMBERS.subarray(0, MEMBERS.length - 5);
    await rejects(
      () => gunzipRange(file, 'x.gz', 0, 10),
      4,
      /^x\.gz is cut short: its gzip data end before the checksum/,
    );
  });
  withHost('a wrong checksum in the middle', async () => {
    const file = Buffer.from(MEMBERS);
    file[gzipSync(PARTS[0]).length - 6] ^= 1;
    await rejects(() => gunzipRange(file, 'x.gz', 0, 10), 4, /^x\.gz is damaged: gzip reports "incorrect data check/);
  });
  withHost('other bytes behind', async () => {
    const file = Buffer.concat([MEMBERS, Buffer.from('hello')]);
    await rejects(() => gunzipRange(file, 'x.gz', 0, 10), 4, /^x\.gz has other bytes after the end of its gzip data/);
  });
}

test('gzip makes one sound member that another program unpacks', async () => {
  const { data, total } = await gunzipRange(await gzip(WHOLE), 'x.gz', 0, WHOLE.length);
  assert.is(total, WHOLE.length);
  assert.equal(Buffer.from(data), WHOLE);
});

test('crc32 of known texts, in one piece and in several', () => {
  const bytes = new TextEncoder().encode('123456789');
  assert.is(crc32(bytes), 0xcbf43926); // the check value every CRC catalogue lists for CRC-32
  for (let cut = 0; cut <= 9; cut++) assert.is(crc32(bytes.subarray(cut), crc32(bytes.subarray(0, cut))), 0xcbf43926);
  assert.is(crc32(new Uint8Array(0)), 0);
});

test.run();
