import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DataError } from '../../engine/errors.ts';
import {
  readSafetensors,
  type SafeTensor,
  type SafetensorsDtype,
  writeSafetensors,
} from '../../runner/data/safetensors.ts';
import { rejects } from './rejects.ts';

const BYTES: Record<SafetensorsDtype, number> = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U64: 8,
  U32: 4,
  U16: 2,
  U8: 1,
  BOOL: 1,
};

/** A tensor of any type whose bytes are given, taken in order and repeated. */
function tensorOf(dtype: SafetensorsDtype, shape: number[], seed: number): SafeTensor {
  const size = BYTES[dtype] * shape.reduce((a, b) => a * b, 1);
  const bytes = Uint8Array.from({ length: size }, (_, i) => (i * 73 + seed) & (dtype === 'BOOL' ? 1 : 63));
  const { buffer } = bytes;
  if (dtype === 'F64') return { dtype, shape, data: new Float64Array(buffer) };
  if (dtype === 'F32') return { dtype, shape, data: new Float32Array(buffer) };
  if (dtype === 'I64') return { dtype, shape, data: new BigInt64Array(buffer) };
  if (dtype === 'U64') return { dtype, shape, data: new BigUint64Array(buffer) };
  if (dtype === 'I32') return { dtype, shape, data: new Int32Array(buffer) };
  if (dtype === 'U32') return { dtype, shape, data: new Uint32Array(buffer) };
  if (dtype === 'I16') return { dtype, shape, data: new Int16Array(buffer) };
  if (dtype === 'I8') return { dtype, shape, data: new Int8Array(buffer) };
  if (dtype === 'U8' || dtype === 'BOOL') return { dtype, shape, data: bytes };
  return { dtype, shape, data: new Uint16Array(buffer) };
}

const anyTensor = fc.record({
  dtype: fc.constantFrom(...(Object.keys(BYTES) as SafetensorsDtype[])),
  shape: fc.array(fc.nat(4), { maxLength: 4 }),
  seed: fc.nat(255),
});
const anyName = fc.oneof(fc.string({ maxLength: 12 }), fc.constantFrom('__proto__', 'a"b', 'enc.0.ä', 'constructor'));
const anyFile = fc.record({
  tensors: fc.uniqueArray(fc.tuple(anyName, anyTensor), { maxLength: 6, selector: ([name]) => name }),
  metadata: fc.dictionary(fc.string({ maxLength: 8 }), fc.string({ maxLength: 20 }), { maxKeys: 4 }),
});

test('property: what is written is read back, whatever the types, shapes and names', () => {
  fc.assert(
    fc.property(anyFile, ({ tensors, metadata }) => {
      const map = new Map(tensors.map(([name, t]) => [name, tensorOf(t.dtype, t.shape, t.seed)]));
      const back = readSafetensors(writeSafetensors(map, metadata), 'a.safetensors');
      assert.equal([...back.tensors.keys()], [...map.keys()].sort());
      for (const [name, tensor] of map) assert.equal(back.tensors.get(name), tensor);
      assert.equal(Object.entries(back.metadata).sort(), Object.entries(metadata).sort());
    }),
    { numRuns: 200, seed: 5 },
  );
});

const SAMPLE = new Map<string, SafeTensor>([
  ['weight', tensorOf('F32', [2, 3], 1)],
  ['counter', tensorOf('U32', [2], 2)],
  ['mask', tensorOf('U8', [5], 3)],
  ['moment', tensorOf('F64', [1, 2], 4)],
  ['half', tensorOf('F16', [3], 5)],
]);
const METADATA = { step: '120', config: '{"lr":0.01}' };

test('the layout: aligned header, sorted names, aligned tensors, no gaps', () => {
  const bytes = writeSafetensors(SAMPLE, METADATA);
  const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  assert.is((8 + length) % 8, 0);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  assert.equal(Object.keys(header), ['__metadata__', 'counter', 'half', 'mask', 'moment', 'weight']);
  assert.equal(header.moment, { dtype: 'F64', shape: [1, 2], data_offsets: [0, 16] });
  assert.equal(header.counter.data_offsets, [16, 24]);
  assert.equal(header.weight.data_offsets, [24, 48]);
  assert.equal(header.half.data_offsets, [48, 54]);
  assert.equal(header.mask.data_offsets, [54, 59]);
  assert.is(bytes.length, 8 + length + 59);
  assert.match(header.__metadata__['action3d.crc32'], /^[0-9a-f]{8}$/);
});

test('equal content gives equal bytes, in whatever order it was put together', () => {
  const reversed = new Map([...SAMPLE].reverse());
  const metadata = { config: METADATA.config, step: METADATA.step };
  assert.equal(writeSafetensors(reversed, metadata), writeSafetensors(SAMPLE, METADATA));
});

test('a view into a larger buffer is written and read as itself', () => {
  const data = new Float32Array([9, 1, 2, 3, 9]).subarray(1, 4);
  const bytes = writeSafetensors(new Map([['x', { dtype: 'F32', shape: [3], data }]]), {});
  const pool = Buffer.concat([Buffer.from([7, 7, 7]), bytes]);
  const back = readSafetensors(pool.subarray(3), 'a').tensors.get('x')!;
  assert.equal(back.data, new Float32Array([1, 2, 3]));
  back.data[0] = 5;
  assert.equal(readSafetensors(bytes, 'a').tensors.get('x')!.data[0], 1);
});

/** True where the bytes are refused with DataError; false where they give exactly the sample's tensors. */
function refused(bytes: Uint8Array): boolean {
  let found: ReturnType<typeof readSafetensors>;
  try {
    found = readSafetensors(bytes, 'a.safetensors');
  } catch (error) {
    assert.instance(error, DataError);
    return true;
  }
  assert.equal([...found.tensors].sort(), [...SAMPLE].sort());
  return false;
}

test('1000 truncations are all refused', () => {
  const bytes = writeSafetensors(SAMPLE, METADATA);
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), (length) => refused(bytes.subarray(0, length))),
    { numRuns: 1000, seed: 6 },
  );
});

test('every single flipped bit is refused or does not touch a tensor', () => {
  const bytes = writeSafetensors(SAMPLE, METADATA);
  let harmless = 0;
  for (let bit = 0; bit < 8 * bytes.length; bit++) {
    const flipped = bytes.slice();
    flipped[bit >> 3] ^= 1 << (bit & 7);
    if (!refused(flipped)) harmless++;
  }
  // only flips inside the checksum's own key, which then is an unknown key, can pass
  assert.ok(harmless > 0 && harmless <= 8 * '"action3d.crc32"'.length, `${harmless} passed`);
});

test('1000 changed stretches are refused or do not touch a tensor', () => {
  const bytes = writeSafetensors(SAMPLE, METADATA);
  const change = fc.record({ at: fc.nat(bytes.length - 1), by: fc.uint8Array({ minLength: 1, maxLength: 9 }) });
  fc.assert(
    fc.property(change, ({ at, by }) => {
      const changed = bytes.slice();
      changed.set(by.subarray(0, changed.length - at), at);
      refused(changed);
    }),
    { numRuns: 1000, seed: 7 },
  );
});

/** A file with this header and so many bytes of data, without a checksum. */
function handmade(header: unknown, held: number): Uint8Array {
  const json = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const out = new Uint8Array(8 + json.length + held);
  new DataView(out.buffer).setBigUint64(0, BigInt(json.length), true);
  out.set(json, 8);
  return out;
}
const f32 = (begin: number, end: number) => ({ dtype: 'F32', shape: [(end - begin) / 4], data_offsets: [begin, end] });
const longHeader = new Uint8Array(16);
new DataView(longHeader.buffer).setBigUint64(0, 2n ** 60n, true);

const BAD: [what: string, bytes: Uint8Array, message: RegExp][] = [
  ['nothing at all', new Uint8Array(0), /it has 0 bytes, and the header's length alone takes 8/],
  ['an endless header', longHeader, /header would be 1152921504606847000 bytes long, more than 100000000/],
  [
    'a header cut short',
    handmade({ a: f32(0, 8) }, 0).subarray(0, 20),
    /its header ends at byte \d+ but the file at 20/,
  ],
  ['no JSON', handmade('{"a":', 0), /its header is no JSON/],
  ['no UTF-8', handmade('{}', 0).map((byte, i) => (i === 8 ? 0xff : byte)), /its header is no JSON/],
  ['an array', handmade('[]', 0), /no JSON object/],
  ['numbers as metadata', handmade({ __metadata__: { step: 3 } }, 0), /metadata are not all strings/],
  ['a tensor without description', handmade({ a: 3 }, 0), /tensor a has no description/],
  ['an unknown type', handmade({ a: { ...f32(0, 8), dtype: 'F12' } }, 8), /tensor a has the unknown type F12/],
  ['a type from a prototype', handmade({ a: { ...f32(0, 8), dtype: 'toString' } }, 8), /the unknown type toString/],
  ['a negative size', handmade({ a: { ...f32(0, 8), shape: [-2] } }, 8), /the impossible shape \[-2\]/],
  [
    'a backward range',
    handmade({ a: { dtype: 'F32', shape: [], data_offsets: [8, 4] } }, 8),
    /the impossible byte range \[8,4\]/,
  ],
  [
    'a range behind the end',
    handmade({ a: f32(0, 16) }, 8),
    /tensor a ends at byte 16 of 8, so the file is cut short or altered/,
  ],
  [
    'a size that disagrees',
    handmade({ a: { ...f32(0, 8), shape: [3] } }, 8),
    /F32 \[3\], 12 bytes, but 8 are set aside/,
  ],
  [
    'an overlap',
    handmade({ a: f32(0, 8), b: f32(4, 12) }, 12),
    /tensor b starts at byte 4, inside the one before, which ends at 8/,
  ],
  ['a gap', handmade({ a: f32(0, 4), b: f32(8, 12) }, 12), /bytes 4 to 8 before tensor b belong to no tensor/],
  ['bytes left over', handmade({ a: f32(0, 4) }, 12), /the tensors end at byte 4 but 12 follow the header/],
  [
    'a wrong checksum',
    handmade({ __metadata__: { 'action3d.crc32': '00000000' }, a: f32(0, 4) }, 4),
    /its checksum is [0-9a-f]{8} where 00000000 was written/,
  ],
];

for (const [what, bytes, message] of BAD) {
  test(`refused in one sentence: ${what}`, () =>
    rejects(
      async () => readSafetensors(bytes, 'a.safetensors'),
      4,
      new RegExp(`^a\\.safetensors is not a sound safetensors file: .*${message.source}`),
    ));
}

test('a file of another program, without checksum, is read', () => {
  const { tensors, metadata } = readSafetensors(handmade({ __metadata__: { format: 'pt' }, a: f32(0, 8) }, 8), 'a');
  assert.equal(tensors.get('a'), { dtype: 'F32', shape: [2], data: new Float32Array(2) });
  assert.equal(metadata, { format: 'pt' });
});

test('data that do not fit their shape or type, and reserved names, are refused', async () => {
  const write =
    (name: string, tensor: SafeTensor, metadata = {}) =>
    async () =>
      writeSafetensors(new Map([[name, tensor]]), metadata);
  const data = new Float32Array(3);
  await rejects(
    write('w', { dtype: 'F32', shape: [2, 2], data }),
    4,
    /^tensor w is F32 \[2,2\] but its data are 3 elements of Float32Array/,
  );
  await rejects(
    write('w', { dtype: 'U32', shape: [3], data }),
    4,
    /^tensor w is U32 \[3\] but its data are 3 elements of Float32Array/,
  );
  await rejects(write('__metadata__', { dtype: 'F32', shape: [3], data }), 4, /cannot be named __metadata__/);
  await rejects(
    write('w', { dtype: 'F32', shape: [3], data }, { 'action3d.crc32': '1' }),
    4,
    /action3d\.crc32 is set by the writer/,
  );
});

test.run();
