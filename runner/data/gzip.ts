import { DataError } from '../../engine/errors.ts';

/**
 * gzip through the platform's own streams, which check every member's CRC and length.
 *
 * Node inflates a file of several members (bgzip, `cat a.gz b.gz`) and skips zero padding; browsers follow the
 * Compression Streams standard and refuse anything after the first member. `inflateMembers` closes that gap.
 */

const FEED = 1 << 18;

/** Deflate never expands more than this: 258 bytes out of 2 bits. */
export const MAX_EXPANSION = 1032;

export function isGzip(bytes: Uint8Array): boolean {
  return bytes.length >= 2 && bytes[0] === 0x1f && bytes[1] === 0x8b;
}

/** Bytes `start` to `start + length` of what the file holds, and how many it holds in all. */
export interface Inflated {
  readonly data: Uint8Array<ArrayBuffer>;
  readonly total: number;
}

/**
 * Inflates the whole file, so that every checksum is verified, and keeps one window of it. `data` is zero where the
 * file is too short for the window. Throws DataError when the file is truncated, corrupt or followed by other bytes.
 */
export async function gunzipRange(bytes: Uint8Array, name: string, start: number, length: number): Promise<Inflated> {
  const sink = new Sink(start, length);
  try {
    await inflate(bytes, sink);
  } catch {
    sink.total = 0;
    await inflateMembers(bytes, name, sink);
  }
  return { data: sink.data, total: sink.total };
}

/** The first `length` bytes, or fewer where the file holds fewer; only as much is inflated as that needs. */
export async function gunzipPrefix(bytes: Uint8Array, name: string, length: number): Promise<Uint8Array> {
  const sink = new Sink(0, length, true);
  try {
    await inflate(bytes.subarray(0, (1 << 16) + 2 * length), sink);
  } catch {
    if (sink.total < length) {
      const { data, total } = await gunzipRange(bytes, name, 0, length);
      return data.subarray(0, Math.min(total, length));
    }
  }
  return sink.data.subarray(0, Math.min(sink.total, length));
}

/** One gzip member whose header carries no time and no system, so that equal input gives equal bytes. */
export async function gzip(bytes: Uint8Array): Promise<Uint8Array> {
  const stream = new CompressionStream('gzip');
  const written = feed(stream.writable, bytes);
  const chunks: Uint8Array[] = [];
  const reader = stream.readable.getReader();
  let total = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value);
    total += value.length;
  }
  await written;
  const out = new Uint8Array(total);
  let at = 0;
  for (const chunk of chunks) {
    out.set(chunk, at);
    at += chunk.length;
  }
  out.fill(0, 4, 9); // modification time, extra flags
  out[9] = 255; // operating system: unknown
  return out;
}

class Sink {
  readonly data: Uint8Array<ArrayBuffer>;
  readonly start: number;
  readonly stopWhenFull: boolean;
  total = 0;

  constructor(start: number, length: number, stopWhenFull = false) {
    this.data = new Uint8Array(length);
    this.start = start;
    this.stopWhenFull = stopWhenFull;
  }

  /** Takes the next chunk; false once no more is wanted. */
  take(chunk: Uint8Array): boolean {
    const from = Math.max(0, this.start - this.total);
    const to = Math.min(chunk.length, this.start + this.data.length - this.total);
    if (from < to) this.data.set(chunk.subarray(from, to), this.total + from - this.start);
    this.total += chunk.length;
    return !this.stopWhenFull || this.total < this.start + this.data.length;
  }
}

async function inflate(bytes: Uint8Array, sink: Sink): Promise<void> {
  const stream = new DecompressionStream('gzip');
  // A failure reaches the reader too, and is reported there.
  feed(stream.writable, bytes).catch(() => undefined);
  const reader = stream.readable.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    if (!sink.take(value)) {
      await reader.cancel().catch(() => undefined);
      return;
    }
  }
}

async function feed(writable: WritableStream<BufferSource>, bytes: Uint8Array): Promise<void> {
  const writer = writable.getWriter();
  for (let at = 0; at < bytes.length; at += FEED) {
    await writer.write(bytes.subarray(at, at + FEED) as Uint8Array<ArrayBuffer>);
  }
  await writer.close();
}

/**
 * Inflates member after member. A member's end is not written anywhere, but the next one opens with a recognisable
 * header; the right place is the one where the platform accepts the checksum.
 */
async function inflateMembers(bytes: Uint8Array, name: string, sink: Sink): Promise<void> {
  const used = endOfData(bytes);
  let begin = 0;
  while (begin < used) {
    const mark = sink.total;
    let end = 0;
    let failure: unknown;
    for (const candidate of memberEnds(bytes, begin, used)) {
      sink.total = mark;
      try {
        await inflate(bytes.subarray(begin, candidate), sink);
        end = candidate;
        break;
      } catch (error) {
        failure ??= error;
      }
    }
    if (end === 0) throw new DataError(describe(name, failure), { cause: failure });
    begin = end;
  }
}

function* memberEnds(bytes: Uint8Array, begin: number, used: number): Generator<number> {
  const smallest = 18; // 10 bytes of header, 8 of trailer
  for (let at = bytes.indexOf(0x1f, begin + smallest); at >= 0; at = bytes.indexOf(0x1f, at + 1)) {
    if (bytes[at + 1] === 0x8b && bytes[at + 2] === 8 && (bytes[at + 3] & 0xe0) === 0) yield at;
  }
  yield bytes.length;
  // Zero padding: the trailer's own last bytes (checksum and length) may be zero as well.
  for (let end = used; end < Math.min(used + 8, bytes.length); end++) yield end;
}

function endOfData(bytes: Uint8Array): number {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end--;
  return end;
}

function describe(name: string, failure: unknown): string {
  const reason = (failure instanceof Error ? failure.message : String(failure)).replace(/\.$/, '');
  if (/end of file|truncated/i.test(reason)) {
    return `${name} is cut short: its gzip data end before the checksum; copy, download or export the file again`;
  }
  if (/junk|header check/i.test(reason)) {
    return `${name} has other bytes after the end of its gzip data (${reason}); copy, download or export the file again`;
  }
  return `${name} is damaged: gzip reports "${reason}"; copy, download or export the file again`;
}
