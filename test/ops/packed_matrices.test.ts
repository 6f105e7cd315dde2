/** Weights as matrices of float16: where every value goes, in one dispatch in front of all commands. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Device } from '../../engine/device.ts';
import { dryGpu } from '../../engine/dry_gpu.ts';
import type { Convolution } from '../../engine/ops/convolution.ts';
import { packedMatrices } from '../../engine/ops/packed_matrices.ts';
import { sumPartials } from '../../engine/ops/sum_partials.ts';
import { Program } from '../../engine/program.ts';
import { Recording } from '../../engine/recording.ts';
import { ceilDiv, padChannels, product } from '../../engine/shape.ts';
import { channels, storedBytes, storedElements, type Tensor, toStored } from '../../engine/tensor.ts';
import { gpuTest, run } from '../harness.ts';
import { type Dense, halves } from '../reference/dense.ts';
import { emulated, UNLIKE } from './matrix_emulation.ts';

const { k, n } = UNLIKE;

interface Case {
  /** [kd, kh, kw, Cin, Cout] */
  readonly shape: readonly [number, number, number, number, number];
  readonly blocks: number;
  /** For an input gradient of so many of the input channels from `firstIn` on: the taps in reverse, the channels exchanged. */
  readonly adjoint?: { readonly firstIn: number; readonly inputs: number };
}

const CASES: readonly Case[] = [
  { shape: [3, 3, 3, 5, 7], blocks: 2 },
  { shape: [1, 3, 1, 20, 12], blocks: 4, adjoint: { firstIn: 4, inputs: 13 } },
  { shape: [3, 1, 3, 33, 4], blocks: 1 },
];

/** Matrices k x n, for each k input channels, each tap and each n output channels. */
function expectationOf({ shape: [kd, kh, kw, cin, cout], blocks, adjoint }: Case, w: Dense): number[] {
  const taps = kd * kh * kw;
  const [rows, columns] = adjoint ? [cout, adjoint.inputs] : [cin, cout];
  const value = (tap: number, row: number, column: number): number => {
    if (row >= rows || column >= columns) return 0;
    if (!adjoint) return w.data[(tap * cin + row) * cout + column];
    return w.data[((taps - 1 - tap) * cin + adjoint.firstIn + column) * cout + row];
  };
  const values: number[] = [];
  for (let i = 0; i < ceilDiv(rows, k); i++)
    for (let tap = 0; tap < taps; tap++)
      for (let block = 0; block < blocks; block++)
        for (let row = 0; row < k; row++)
          for (let column = 0; column < n; column++) values.push(value(tap, i * k + row, block * n + column));
  return values;
}

/** What is packed of a convolution is known from its weights and from how many channels go in and out. */
function problemOf(rec: Recording, { shape, adjoint }: Case, w: Tensor): Convolution {
  const [kd, kh, kw, cin, cout] = shape;
  const [from, to] = adjoint ? [cout, adjoint.inputs] : [cin, cout];
  const volume = (c: number) => rec.tensor([1, 1, 1, 1, c], 'volume');
  return {
    ...{ kernel: [kd, kh, kw], stride: [1, 1, 1], padding: [0, 0, 0], x: volume(from), y: volume(to), w },
    ...{ transpose: !!adjoint, flip: !!adjoint, firstIn: adjoint?.firstIn },
  };
}

/** Values below 1 that are multiples of 1/64, out of their float16. */
function half(bits: number): number {
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
  return (bits >> 15 ? -1 : 1) * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
}

const decoded = (words: ArrayLike<number>) =>
  Array.from(words).flatMap((word) => [half(word & 0xffff), half(word >>> 16)]);

gpuTest(
  'weights are packed in front of everything, all at once, and again where a command has changed them',
  async (device) => {
    const bytes = CASES.map(({ shape }) => product(shape.slice(0, 4)) * padChannels(shape[4]) * 4);
    const offsets = bytes.map((_, i) => bytes.slice(0, i).reduce((sum, b) => sum + Math.ceil(b / 256) * 256, 256));
    const flat = device.tensor([(offsets[2] + bytes[2]) / 4], 'parameters');
    const views = CASES.map(({ shape }, i): Tensor => {
      const w = { ...flat, label: `w${i}`, shape, pitch: padChannels(shape[4]), offset: offsets[i] };
      assert.is(storedElements(w) * 4, bytes[i]);
      return w;
    });
    const old = CASES.map(({ shape }, i) => halves([...shape], i));
    views.forEach((w, i) => {
      device.writeStored(w, toStored(w, old[i].data));
    });
    const rest = halves([...CASES[1].shape], 9);
    const next = device.tensor(CASES[1].shape, 'next', { data: rest.data });

    const rec = new Recording(device, 'packing');
    rec.clear(rec.tensor([4], 'something'));
    const packed = CASES.map((c, i) => packedMatrices(rec, problemOf(rec, c, views[i]), UNLIKE, c.blocks));
    const same = packedMatrices(rec, problemOf(rec, CASES[0], views[0]), UNLIKE, CASES[0].blocks);
    assert.is(same, packed[0], 'another pass takes what is packed');
    rec.copy(next, views[1]);
    const again = packedMatrices(rec, problemOf(rec, CASES[1], views[1]), UNLIKE, CASES[1].blocks);
    for (const t of [...packed, again]) rec.keep(t);
    const program = await Program.create(rec);
    assert.equal(
      rec.commands.map((command) => (command.kind === 'dispatch' ? command.kernel.name : command.kind)),
      ['pack_weights_matrix', 'clear', 'copy', 'pack_weights_matrix'],
    );
    program.run();
    const check = async (t: Tensor, c: Case, w: Dense) => {
      const found = decoded(await program.read(t));
      assert.is(found.length, 2 * channels(t));
      assert.equal(found, expectationOf(c, w), t.label);
    };
    for (const [i, c] of CASES.entries()) await check(packed[i], c, old[i]);
    await check(again, CASES[1], rest);
    program.destroy();
  },
  { software: false, matrixUnit: UNLIKE, wrap: (gpu) => emulated(gpu, UNLIKE) },
);

gpuTest(
  'weights that sums have yet to be written into are packed behind those',
  async (device) => {
    const c: Case = { shape: [1, 1, 1, 16, 4], blocks: 1 };
    const dw = device.tensor(c.shape, 'dw');
    const w = halves([...c.shape], 3);
    const partial = device.tensor([1, 16, 4], 'partial', { dense: true, data: w.data });
    const rec = new Recording(device, 'packing');
    const volume = (channels: number) => device.tensor([1, 1, 1, 1, channels], 'volume');
    const geometry = { kernel: [1, 1, 1], stride: [1, 1, 1], padding: [0, 0, 0] } as const;
    sumPartials(rec, partial, { ...geometry, x: volume(16), dy: volume(4), dw });
    const packed = rec.keep(packedMatrices(rec, problemOf(rec, c, dw), UNLIKE, c.blocks));
    const program = await Program.create(rec);
    program.run();
    assert.equal(decoded(await program.read(packed)), expectationOf(c, w));
    program.destroy();
  },
  { software: false, matrixUnit: UNLIKE, wrap: (gpu) => emulated(gpu, UNLIKE) },
);

const BYTES = 2 ** 20;
const LIMITS = {
  ...{ maxBufferSize: BYTES, maxStorageBufferBindingSize: BYTES, maxComputeWorkgroupsPerDimension: 65535 },
  ...{ minUniformBufferOffsetAlignment: 256, maxUniformBufferBindingSize: 65536 },
} as unknown as GPUSupportedLimits;

test('a dispatch packs no more than bindings hold; weights alone that are too large are refused', () => {
  const device = new Device(dryGpu(LIMITS), { software: false, matrixUnit: UNLIKE });
  const pack = (shape: Case['shape'], count: number, blocks = 4) => {
    const rec = new Recording(device, 'packing');
    const w = device.tensor(shape, 'w');
    const packed = Array.from({ length: count }, (_, i) =>
      packedMatrices(rec, problemOf(rec, { shape, blocks }, { ...w, offset: 256 * i }), UNLIKE, blocks),
    );
    rec.plan();
    const dispatches = rec.commands.map((command) => {
      if (command.kind !== 'dispatch') throw new Error(command.kind);
      const { kernel, tensors } = command;
      return { params: 4 * kernel.params.length, bytes: storedBytes(tensors.out), storage: tensors.out.storage };
    });
    for (const { params, bytes, storage } of dispatches) {
      assert.ok(params <= LIMITS.maxUniformBufferBindingSize && bytes <= BYTES && bytes === storage.bytes);
    }
    for (const t of packed) {
      assert.ok(t.offset + storedBytes(t) <= t.storage.bytes);
      assert.ok(dispatches.some(({ storage }) => storage === t.storage));
    }
    return dispatches.length;
  };
  assert.is(pack([1, 1, 3, 16, 16], 1600), 7, 'parameters');
  assert.is(pack([3, 3, 3, 64, 16], 57), 4, 'bytes');
  assert.throws(() => pack([3, 3, 3, 16, 16], 1, 400), /'w.packed'.* needs .* bytes .* allows 1048576/);
});

run();
