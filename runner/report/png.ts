/** PNG (ISO/IEC 15948), 8 bits a channel, written with the platform's own deflate. */
import { crc32 } from '../data/crc32.ts';

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];

/**
 * A PNG file of `pixels`, row by row from the top left, RGB (3 bytes a pixel) or RGBA (4).
 * Throws a RangeError when their number does not fit width times height.
 */
export async function encodePng(pixels: Uint8Array, width: number, height: number): Promise<Uint8Array> {
  const channels = pixels.length / (width * height);
  if (!(width > 0 && height > 0) || (channels !== 3 && channels !== 4))
    throw new RangeError(`encodePng: ${pixels.length} bytes are neither RGB nor RGBA of ${width} x ${height} pixels`);
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([8, channels === 3 ? 2 : 6], 8);
  const data = await deflate(filterRows(pixels, width * channels, channels));
  return concat([
    Uint8Array.from(SIGNATURE),
    chunk('IHDR', header),
    chunk('IDAT', data),
    chunk('IEND', new Uint8Array(0)),
  ]);
}

/** Each row behind the filter (none, sub or up) whose differences are smallest in sum, as the standard suggests. */
function filterRows(pixels: Uint8Array, stride: number, channels: number): Uint8Array {
  const rows = pixels.length / stride;
  const filtered = new Uint8Array(rows * (stride + 1));
  const candidates = [0, 1, 2].map(() => new Uint8Array(stride));
  for (let r = 0; r < rows; r++) {
    const start = r * stride;
    for (let i = 0; i < stride; i++) {
      const value = pixels[start + i];
      candidates[0][i] = value;
      candidates[1][i] = value - (i < channels ? 0 : pixels[start + i - channels]);
      candidates[2][i] = value - (r === 0 ? 0 : pixels[start + i - stride]);
    }
    const sums = candidates.map((row) => row.reduce((sum, byte) => sum + Math.min(byte, 256 - byte), 0));
    const best = sums.indexOf(Math.min(...sums));
    filtered[r * (stride + 1)] = best;
    filtered.set(candidates[best], r * (stride + 1) + 1);
  }
  return filtered;
}

function chunk(type: string, data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(12 + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  for (let i = 0; i < 4; i++) bytes[4 + i] = type.charCodeAt(i);
  bytes.set(data, 8);
  view.setUint32(8 + data.length, crc32(bytes.subarray(4, 8 + data.length)));
  return bytes;
}

async function deflate(bytes: Uint8Array): Promise<Uint8Array> {
  const stream = new Blob([bytes as Uint8Array<ArrayBuffer>]).stream().pipeThrough(new CompressionStream('deflate'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
