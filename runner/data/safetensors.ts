import { DataError } from '../../engine/errors.ts';
import { crc32 } from './crc32.ts';

/**
 * The safetensors format: 8 bytes of header length (little-endian), a JSON header, then the tensors' bytes without
 * gaps. Ours carry a CRC-32 of the whole file (with the checksum's own digits as zeros) among the metadata, which
 * other readers ignore and `readSafetensors` verifies where it is present.
 */

const ARRAYS = {
  F64: Float64Array,
  F32: Float32Array,
  F16: Uint16Array,
  BF16: Uint16Array,
  I64: BigInt64Array,
  I32: Int32Array,
  I16: Int16Array,
  I8: Int8Array,
  U64: BigUint64Array,
  U32: Uint32Array,
  U16: Uint16Array,
  U8: Uint8Array,
  BOOL: Uint8Array,
};

export type SafetensorsDtype = keyof typeof ARRAYS;
export type SafetensorsData = InstanceType<(typeof ARRAYS)[SafetensorsDtype]>;

export interface SafeTensor {
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  /** F16 and BF16 as their bits in a Uint16Array, BOOL as a Uint8Array. */
  readonly data: SafetensorsData;
}

export interface Safetensors {
  readonly tensors: Map<string, SafeTensor>;
  readonly metadata: Record<string, string>;
}

const CHECKSUM = 'action3d.crc32';
const METADATA = '__metadata__';
const MAX_HEADER = 100_000_000;

/**
 * One file with these tensors, equal for equal input. Header keys are sorted by name; bytes are laid out from wide elements to narrow ones,
 * so that every tensor is aligned. Throws DataError where a shape and its data disagree.
 */
export function writeSafetensors(
  tensors: ReadonlyMap<string, SafeTensor>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const names = [...tensors.keys()].sort();
  const width = (name: string) => ARRAYS[tensors.get(name)!.dtype].BYTES_PER_ELEMENT;
  const placed = [...names].sort((a, b) => width(b) - width(a)); // stable: names stay sorted within a width
  const offsets = new Map<string, number>();
  let end = 0;
  for (const name of placed) {
    const { dtype, shape, data } = tensors.get(name)!;
    if (name === METADATA) throw new DataError(`a tensor cannot be named ${METADATA}; rename it`);
    if (!(data instanceof ARRAYS[dtype]) || data.length !== count(shape)) {
      throw new DataError(
        `tensor ${name} is ${dtype} [${shape}] but its data are ${data.length} elements of ${data.constructor.name}; pass matching data`,
      );
    }
    offsets.set(name, end);
    end += data.byteLength;
  }
  if (CHECKSUM in metadata) throw new DataError(`metadata key ${CHECKSUM} is set by the writer; leave it out`);
  const sorted = Object.fromEntries(Object.entries(metadata).sort(([a], [b]) => (a < b ? -1 : 1)));
  const entries = [`"${METADATA}":${JSON.stringify({ [CHECKSUM]: '00000000', ...sorted })}`];
  for (const name of names) {
    const { dtype, shape, data } = tensors.get(name)!;
    const begin = offsets.get(name)!;
    const info = { dtype, shape, data_offsets: [begin, begin + data.byteLength] };
    entries.push(`${JSON.stringify(name)}:${JSON.stringify(info)}`);
  }
  const text = new TextEncoder().encode(`{${entries.join(',')}}`);
  const start = Math.ceil((8 + text.length) / 8) * 8;
  const out = new Uint8Array(start + end).fill(0x20, 8 + text.length, start);
  new DataView(out.buffer).setBigUint64(0, BigInt(start - 8), true);
  out.set(text, 8);
  for (const [name, begin] of offsets) {
    const { data } = tensors.get(name)!;
    out.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), start + begin);
  }
  const digits = crc32(out).toString(16).padStart(8, '0');
  out.set(new TextEncoder().encode(digits), checksumPosition(out.subarray(0, start))!);
  return out;
}

/**
 * Reads every tensor into an array of its own.
 *
 * @param remedy what the message ends with: the next step for whoever has a damaged file
 * @throws DataError, naming what is wrong, for any damaged file
 */
export function readSafetensors(
  bytes: Uint8Array,
  name: string,
  remedy = 'copy it again or use an earlier one',
): Safetensors {
  const fail = (what: string): never => {
    throw new DataError(`${name} is not a sound safetensors file: ${what}; ${remedy}`);
  };
  if (bytes.length < 8) fail(`it has ${bytes.length} bytes, and the header's length alone takes 8`);
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true));
  if (length > MAX_HEADER) fail(`its header would be ${length} bytes long, more than ${MAX_HEADER} allowed`);
  const start = 8 + length;
  if (start > bytes.length) fail(`its header ends at byte ${start} but the file at ${bytes.length}`);
  const header = parseHeader(bytes.subarray(8, start), fail);
  const held = bytes.length - start;
  const entries = header.entries.map(([key, info]) => [key, checkEntry(key, info, held, fail)] as const);
  checkCover(entries, held, fail);
  verifyChecksum(bytes, start, fail);
  const tensors = new Map<string, SafeTensor>();
  for (const [key, { dtype, shape, begin, end }] of entries) {
    // not slice(), which on a Node Buffer is a view
    const copy = new Uint8Array(bytes.subarray(start + begin, start + end)).buffer;
    tensors.set(key, { dtype, shape, data: new ARRAYS[dtype](copy) });
  }
  const { [CHECKSUM]: _, ...metadata } = header.metadata;
  return { tensors, metadata };
}

type Fail = (what: string) => never;

interface Entry {
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

function parseHeader(
  bytes: Uint8Array,
  fail: Fail,
): { entries: [string, unknown][]; metadata: Record<string, string> } {
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    fail(`its header is no JSON (${(error as Error).message})`);
  }
  if (!isRecord(header)) return fail('its header is no JSON object');
  const metadata = header[METADATA] ?? {};
  if (!isRecord(metadata) || !Object.values(metadata).every((value) => typeof value === 'string')) {
    return fail('its metadata are not all strings');
  }
  const entries = Object.entries(header).filter(([key]) => key !== METADATA);
  return { entries, metadata: metadata as Record<string, string> };
}

function checkEntry(key: string, info: unknown, held: number, fail: Fail): Entry {
  if (!isRecord(info)) return fail(`tensor ${key} has no description`);
  const { dtype, shape, data_offsets: range } = info;
  if (typeof dtype !== 'string' || !Object.hasOwn(ARRAYS, dtype))
    return fail(`tensor ${key} has the unknown type ${dtype}`);
  if (!isSizes(shape)) return fail(`tensor ${key} has the impossible shape ${JSON.stringify(shape)}`);
  if (!isSizes(range) || range.length !== 2 || range[0] > range[1]) {
    return fail(`tensor ${key} has the impossible byte range ${JSON.stringify(range)}`);
  }
  const [begin, end] = range;
  if (end > held) return fail(`tensor ${key} ends at byte ${end} of ${held}, so the file is cut short or altered`);
  const kind = dtype as SafetensorsDtype;
  const needed = count(shape) * ARRAYS[kind].BYTES_PER_ELEMENT;
  if (needed !== end - begin) {
    return fail(`tensor ${key} is ${dtype} [${shape}], ${needed} bytes, but ${end - begin} are set aside for it`);
  }
  return { dtype: kind, shape, begin, end };
}

/** Tensors follow one another without gap or overlap and reach the end of the file. */
function checkCover(entries: readonly (readonly [string, Entry])[], held: number, fail: Fail): void {
  let end = 0;
  for (const [key, entry] of [...entries].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end)) {
    if (entry.begin < end)
      fail(`tensor ${key} starts at byte ${entry.begin}, inside the one before, which ends at ${end}`);
    if (entry.begin > end) fail(`bytes ${end} to ${entry.begin} before tensor ${key} belong to no tensor`);
    end = entry.end;
  }
  if (end !== held) fail(`the tensors end at byte ${end} but ${held} follow the header`);
}

function verifyChecksum(bytes: Uint8Array, start: number, fail: Fail): void {
  const at = checksumPosition(bytes.subarray(0, start));
  if (at === undefined) return;
  const stored = new TextDecoder().decode(bytes.subarray(at, at + 8));
  const zeros = new Uint8Array(8).fill(0x30);
  const actual = crc32(bytes.subarray(at + 8), crc32(zeros, crc32(bytes.subarray(0, at))));
  const found = actual.toString(16).padStart(8, '0');
  if (stored !== found) fail(`its checksum is ${found} where ${stored} was written, so some of its bytes have changed`);
}

/** Where the checksum's digits stand in a header. */
function checksumPosition(header: Uint8Array): number | undefined {
  const key = new TextEncoder().encode(`"${CHECKSUM}":"`);
  for (let at = header.indexOf(key[0]); at >= 0; at = header.indexOf(key[0], at + 1)) {
    if (key.every((byte, i) => header[at + i] === byte)) return at + key.length;
  }
  return undefined;
}

function count(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}
