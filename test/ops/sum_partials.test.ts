/** Stage 2 of weight gradients: sums over chunks, several of them in one dispatch on GPUs. */
import * as assert from 'uvu/assert';
import type { Device } from '../../engine/device.ts';
import type { WeightGradient } from '../../engine/ops/convolution.ts';
import { sumPartials } from '../../engine/ops/sum_partials.ts';
import { Program } from '../../engine/program.ts';
import { Recording } from '../../engine/recording.ts';
import { padChannels, product, type Triple } from '../../engine/shape.ts';
import { storedBytes, type Tensor } from '../../engine/tensor.ts';
import { assertClose } from '../compare.ts';
import { gpuTest, run, traits, upload } from '../harness.ts';
import { type Dense, random } from '../reference/dense.ts';

interface Case {
  readonly kernel: Triple;
  readonly cin: number;
  readonly cout: number;
  readonly chunks: number;
  readonly swapped?: boolean;
  /** Channels that the kernel of stage 1 pads to; by default multiples of 4. */
  readonly padded?: { cin: number; cout: number };
}

/** One lane and many, workgroups that are not full, channels that are no multiple of 4. */
const CASES: readonly Case[] = [
  { kernel: [3, 3, 3], cin: 8, cout: 12, chunks: 2 },
  { kernel: [3, 3, 3], cin: 3, cout: 5, chunks: 37 },
  { kernel: [1, 1, 1], cin: 16, cout: 2, chunks: 1999 },
  { kernel: [2, 2, 2], cin: 6, cout: 7, chunks: 56, swapped: true },
  { kernel: [2, 2, 2], cin: 4, cout: 8, chunks: 1, swapped: true },
  { kernel: [1, 3, 3], cin: 5, cout: 9, chunks: 14, padded: { cin: 16, cout: 16 } },
  { kernel: [3, 1, 1], cin: 20, cout: 4, chunks: 150 },
  { kernel: [1, 1, 3], cin: 1, cout: 1, chunks: 13 },
];

const paddedOf = ({ cin, cout, padded }: Case) => padded ?? { cin: padChannels(cin), cout: padChannels(cout) };

/** Random partial sums, zero behind the last channels, as stage 1 leaves them: [chunks, taps, Cin padded, Cout padded]. */
function partialsOf(c: Case, seed: number): Dense {
  const { cin, cout } = paddedOf(c);
  const partial = random([c.chunks, product(c.kernel), cin, cout], seed);
  partial.data.forEach((_, i) => {
    if (i % cout >= c.cout || Math.floor(i / cout) % cin >= c.cin) partial.data[i] = 0;
  });
  return partial;
}

/** Their sum as it lies in memory, padding included. */
function expectationOf(c: Case, partial: Dense): Float64Array {
  const { cin, cout } = paddedOf(c);
  const [rows, columns] = c.swapped ? [c.cout, c.cin] : [c.cin, c.cout];
  const pitch = padChannels(columns);
  const stored = new Float64Array(product(c.kernel) * rows * pitch);
  partial.data.forEach((value, i) => {
    const [co, ci] = [i % cout, Math.floor(i / cout) % cin];
    if (co >= c.cout || ci >= c.cin) return;
    const tap = Math.floor(i / (cout * cin)) % product(c.kernel);
    const [row, column] = c.swapped ? [co, ci] : [ci, co];
    stored[(tap * rows + row) * pitch + column] += value;
  });
  return stored;
}

/** What a weight gradient knows when its partial sums are there: of x and dy only the channels matter. */
function problemOf(device: Device, c: Case, dw: Tensor): WeightGradient {
  const volume = (channels: number) => device.tensor([1, 1, 1, 1, channels], 'volume');
  const [stride, padding]: Triple[] = [
    [1, 1, 1],
    [0, 0, 0],
  ];
  return { kernel: c.kernel, stride, padding, x: volume(c.cin), dy: volume(c.cout), dw, swapped: c.swapped };
}

const shapeOf = ({ kernel, cin, cout, swapped }: Case) => [...kernel, ...(swapped ? [cout, cin] : [cin, cout])];

/** A recording whose feature maps are so large that sums may wait. */
function recordingOf(device: Device): Recording {
  const rec = new Recording(device, 'sums');
  for (let i = 0; i < 16; i++) rec.tensor([2 ** 23, 4], 'feature maps');
  return rec;
}

const summing = (rec: Recording) =>
  rec.commands.filter((command) => command.kind === 'dispatch' && command.kernel.name.startsWith('sum_partials'))
    .length;

/** All cases in one flat buffer of gradients, which holds something else before. */
async function sumAll(device: Device): Promise<{ dispatches: number; sums: Float32Array[] }> {
  const bytes = CASES.map((c) => product(shapeOf(c).slice(0, -1)) * padChannels(c.swapped ? c.cin : c.cout) * 4);
  const offsets = bytes.map((_, i) => bytes.slice(0, i).reduce((sum, n) => sum + Math.ceil(n / 256) * 256, 0));
  const size = (offsets[offsets.length - 1] + bytes[bytes.length - 1]) / 4;
  const flat = device.tensor([size], 'gradients', { dense: true, data: new Float32Array(size).fill(7) });
  const rec = recordingOf(device);
  CASES.forEach((c, i) => {
    const shape = shapeOf(c);
    const dw: Tensor = { ...flat, label: `dw${i}`, shape, pitch: padChannels(shape[4]), offset: offsets[i] };
    const { data } = partialsOf(c, i);
    const partial = upload(device, { shape: [c.chunks, data.length / c.chunks / 4, 4], data }, `partial${i}`);
    sumPartials(rec, partial, problemOf(device, c, dw), paddedOf(c));
  });
  const program = await Program.create(rec);
  program.run();
  const stored = (await device.readStored(flat)) as Float32Array;
  program.destroy();
  return {
    dispatches: summing(rec),
    sums: CASES.map((_, i) => stored.slice(offsets[i] / 4, (offsets[i] + bytes[i]) / 4)),
  };
}

/** The same device, whose shaders have `buffers` storage buffers. */
const withStorageBuffers = (buffers: number) => (gpu: GPUDevice) =>
  new Proxy(gpu, {
    get(_, key) {
      const value: unknown = Reflect.get(gpu, key);
      if (key !== 'limits') return typeof value === 'function' ? value.bind(gpu) : value;
      return new Proxy(gpu.limits, {
        get: (limits, name) =>
          name === 'maxStorageBuffersPerShaderStage' ? buffers : Reflect.get(limits, name, limits),
      });
    },
  });

for (const [name, software, buffers, dispatches] of [
  ['in the order of the chunks, a dispatch each', true, 8, CASES.length],
  ['by trees, seven in a dispatch where shaders have eight storage buffers', false, 8, 2],
  ['by trees, all in a dispatch where they have ten', false, 10, 1],
] as const) {
  gpuTest(
    `sums over chunks, ${name}, equal sums in float64; padding is zero`,
    async (device) => {
      const found = await sumAll(device);
      CASES.forEach((c, i) => {
        const data = expectationOf(c, partialsOf(c, i));
        assertClose(`case ${i}`, found.sums[i], { shape: [data.length], data });
      });
      assert.is(found.dispatches, dispatches);
    },
    { ...traits, software, wrap: withStorageBuffers(buffers) },
  );
}

gpuTest(
  'sums that wait are written before anything uses them, and no others with them',
  async (device) => {
    const c = CASES[0];
    const partial = upload(device, { shape: [2, 27 * 8 * 3, 4], data: partialsOf(c, 0).data }, 'partial');
    const rec = recordingOf(device);
    const [first, second, copy] = ['first', 'second', 'copy'].map((label) => device.tensor(shapeOf(c), label));
    sumPartials(rec, partial, problemOf(device, c, first));
    sumPartials(rec, partial, problemOf(device, c, second));
    assert.is(summing(rec), 0);
    rec.copy(first, copy);
    assert.equal(
      rec.commands.map((command) => (command.kind === 'dispatch' ? command.kernel.name : command.kind)),
      ['sum_partials_tree', 'copy'],
    );
    const program = await Program.create(rec);
    assert.is(summing(rec), 2, 'the other one, when nothing more comes');
    program.run();
    const data = expectationOf(c, partialsOf(c, 0));
    for (const t of [copy, second]) {
      assertClose(t.label, (await device.readStored(t)) as Float32Array, { shape: [data.length], data });
    }
    program.destroy();
  },
  { ...traits, software: false },
);

gpuTest(
  'what waits is printed with the rest of a recording',
  async (device) => {
    const c = CASES[0];
    const partial = upload(device, { shape: [2, 27 * 8 * 3, 4], data: partialsOf(c, 0).data }, 'partial');
    const rec = recordingOf(device);
    for (const label of ['first', 'second'])
      sumPartials(rec, partial, problemOf(device, c, device.tensor(shapeOf(c), label)));
    const lines = rec.toString().split('\n');
    assert.is(lines.filter((line) => line.includes('sum_partials_tree')).length, 2);
  },
  { ...traits, software: false },
);

for (const software of [false, true]) {
  gpuTest(
    `a gradient in bfloat16 is that in float32, rounded (kernels of ${software ? 'software adapters' : 'GPUs'})`,
    async (device) => {
      const c = CASES[1];
      const partial = upload(device, { shape: [c.chunks, 27 * 4 * 2, 4], data: partialsOf(c, 1).data }, 'partial');
      const grads = (['f32', 'bf16'] as const).map((dtype) => device.tensor(shapeOf(c), dtype, { dtype }));
      const rec = recordingOf(device);
      for (const dw of grads) sumPartials(rec, partial, problemOf(device, c, dw));
      const program = await Program.create(rec);
      program.run();
      const [full, half] = (await Promise.all(grads.map((dw) => program.read(dw)))) as Float32Array[];
      // Both round to the same neighbour or, where sums of another order lie on its other side, to the next.
      full.forEach((value, i) => {
        const allowed = 2 ** -7 * Math.abs(value) + 1e-5;
        assert.ok(Math.abs(half[i] - value) <= allowed, `${i}: ${half[i]}, float32 ${value}`);
      });
      program.destroy();
    },
    { ...traits, software },
  );
}

gpuTest(
  'no more waits than the memory of a step has room for',
  async (device) => {
    const rec = recordingOf(device);
    const c: Case = { kernel: [1, 1, 1], cin: 64, cout: 64, chunks: 4096 };
    const dw = device.tensor(shapeOf(c), 'dw');
    const partial = rec.tensor([c.chunks, 64 * 16, 4], 'partial');
    rec.clear(partial);
    assert.is(storedBytes(partial), 64 * 1024 * 1024);
    sumPartials(rec, partial, problemOf(device, c, dw));
    assert.is(summing(rec), 0);
    sumPartials(rec, partial, problemOf(device, c, dw));
    assert.is(summing(rec), 1);
    const small = new Recording(device, 'a step of small patches');
    const own = small.tensor([c.chunks, 64 * 16, 4], 'partial');
    small.clear(own);
    sumPartials(small, own, problemOf(device, c, dw));
    assert.is(summing(small), 1);
  },
  { ...traits, software: false },
);

run();
