import { crc32, inflateSync } from 'node:zlib';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { encodePng } from '../../runner/report/png.ts';

/** Reads what the encoder may write: 8 bits, RGB or RGBA, not interlaced, all five filters; checks every checksum. */
function decodePng(file: Uint8Array): { width: number; height: number; channels: number; pixels: Uint8Array } {
  const bytes = Buffer.from(file);
  assert.equal([...bytes.subarray(0, 8)], [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  const chunks: { type: string; data: Buffer }[] = [];
  for (let at = 8; at < bytes.length; ) {
    const length = bytes.readUInt32BE(at);
    assert.is(bytes.readUInt32BE(at + 8 + length), crc32(bytes.subarray(at + 4, at + 8 + length)));
    chunks.push({ type: bytes.toString('latin1', at + 4, at + 8), data: bytes.subarray(at + 8, at + 8 + length) });
    at += 12 + length;
  }
  assert.equal([chunks[0].type, chunks.at(-1)?.type], ['IHDR', 'IEND']);
  const header = chunks[0].data;
  const [width, height] = [header.readUInt32BE(0), header.readUInt32BE(4)];
  assert.equal([header[8], header[10], header[11], header[12]], [8, 0, 0, 0]);
  const channels = { 2: 3, 6: 4 }[header[9]]!;
  const rows = inflateSync(Buffer.concat(chunks.filter(({ type }) => type === 'IDAT').map(({ data }) => data)));
  const stride = width * channels;
  assert.is(rows.length, height * (stride + 1));
  const pixels = new Uint8Array(height * stride);
  for (let r = 0; r < height; r++) {
    const filter = rows[r * (stride + 1)];
    for (let i = 0; i < stride; i++) {
      const left = i < channels ? 0 : pixels[r * stride + i - channels];
      const up = r === 0 ? 0 : pixels[(r - 1) * stride + i];
      assert.ok(filter <= 2, `filter ${filter}`);
      pixels[r * stride + i] = rows[r * (stride + 1) + 1 + i] + [0, left, up][filter];
    }
  }
  return { width, height, channels, pixels };
}

const picture = fc
  .tuple(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 20 }), fc.constantFrom(3, 4))
  .chain(([width, height, channels]) => {
    const size = width * height * channels;
    const smooth = fc
      .integer({ min: 0, max: 255 })
      .map((start) => Uint8Array.from({ length: size }, (_, i) => start + (i >> 2)));
    const noise = fc.uint8Array({ minLength: size, maxLength: size });
    return fc.oneof(smooth, noise).map((pixels) => ({ width, height, channels, pixels }));
  });

test('a decoder gets the pixels back', async () => {
  await fc.assert(
    fc.asyncProperty(picture, async ({ width, height, channels, pixels }) => {
      assert.equal(decodePng(await encodePng(pixels, width, height)), { width, height, channels, pixels });
    }),
    { numRuns: 60 },
  );
});

test('equal rows cost next to nothing', async () => {
  const row = Uint8Array.from({ length: 300 }, (_, i) => (i * 97) % 251);
  const pixels = Uint8Array.from({ length: 30000 }, (_, i) => row[i % 300]);
  assert.ok((await encodePng(pixels, 100, 100)).length < 600);
});

test('pixels that do not fit the size are refused', async () => {
  for (const [length, width, height] of [
    [11, 2, 2],
    [8, 2, 2],
    [0, 0, 0],
  ]) {
    try {
      await encodePng(new Uint8Array(length), width, height);
      assert.unreachable();
    } catch (error) {
      assert.instance(error, RangeError);
      assert.is(
        (error as Error).message,
        `encodePng: ${length} bytes are neither RGB nor RGBA of ${width} x ${height} pixels`,
      );
    }
  }
});

test.run();
