/**
 * Every way to convolve, forced one by one at odd sizes: whatever a tuner chooses must be right. Those that round factors are
 * in conv3d_matrix.test.ts and conv3d_grad_weight_matrix.test.ts.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Device, type DeviceTraits } from '../../engine/device.ts';
import { dryGpu } from '../../engine/dry_gpu.ts';
import { convTranspose3d } from '../../engine/ops/conv_transpose3d.ts';
import { conv3d, conv3dJoined } from '../../engine/ops/conv3d.ts';
import { CONV3D, CONV3D_GRAD_WEIGHT } from '../../engine/ops/conv3d_ways.ts';
import type { Convolution, WeightGradient } from '../../engine/ops/convolution.ts';
import { compute } from '../../engine/program.ts';
import { Recording } from '../../engine/recording.ts';
import type { Triple } from '../../engine/shape.ts';
import { type Choice, type Way, wayFor } from '../../engine/ways.ts';
import { limitsOf } from '../../runner/host/opened_gpu.ts';
import { assertClose } from '../compare.ts';
import { checkOp, gpuName, gpuTest, run, upload } from '../harness.ts';
import { concat as concatReference } from '../reference/concat.ts';
import * as transposed from '../reference/conv_transpose3d.ts';
import * as reference from '../reference/conv3d.ts';
import { type Dense, halves, random } from '../reference/dense.ts';
import { slice } from '../reference/slice.ts';

type Case = { size: number[]; cin: number; cout: number; kernel: Triple; padding: Triple };

const THREE: Triple = [3, 3, 3];
const CASES: Case[] = [
  { size: [2, 4, 7, 30], cin: 6, cout: 16, kernel: THREE, padding: [1, 1, 1] },
  { size: [1, 7, 7, 31], cin: 16, cout: 8, kernel: THREE, padding: [1, 1, 1] },
  { size: [1, 5, 6, 9], cin: 8, cout: 16, kernel: [2, 2, 2], padding: [0, 0, 0] },
  { size: [1, 3, 5, 13], cin: 1, cout: 4, kernel: [1, 3, 3], padding: [0, 1, 1] },
  { size: [1, 9, 14, 27], cin: 9, cout: 16, kernel: THREE, padding: [1, 1, 1] },
  { size: [2, 5, 14, 28], cin: 1, cout: 16, kernel: THREE, padding: [1, 1, 1] },
  { size: [2, 3, 4, 31], cin: 8, cout: 16, kernel: [1, 1, 1], padding: [0, 0, 0] },
];

/** A convolution by the reference; its gradients are computed once, as checkOp's output gradient is the same every time. */
function expectationOf(x: Dense, w: Dense, padding: Triple) {
  const options = { stride: [1, 1, 1] as Triple, padding };
  let known: { x: Dense; w: Dense } | undefined;
  const gradients = (dy: Dense) => {
    known ??= {
      x: reference.conv3dGradInput(dy, w, x.shape, options),
      w: reference.conv3dGradWeight(x, dy, w.shape, options),
    };
    return known;
  };
  return { options, inputs: { x, w }, expected: reference.conv3d(x, w, null, options), gradients };
}

const expectations = CASES.map(({ size, cin, cout, kernel, padding }, i) => ({
  cin,
  ...expectationOf(random([...size, cin], i), random([...kernel, cin, cout], 100 + i), padding),
}));

/** Chooses the ways of a case, forward and backward, without computing anything. */
function trace(device: Device, x: Dense, w: Dense, options: { stride: Triple; padding: Triple }): void {
  const rec = new Recording(device, 'trace');
  const [a, b] = [upload(device, x, 'x'), upload(device, w, 'w')];
  rec.backward(conv3d(rec, a, b, null, options));
}

/** Compiling is what takes long: each way computes this many of the cases that it serves, beginning with another one each. */
const CASES_A_WAY = /swiftshader/i.test(gpuName) ? 1 : 2;

/** `leaf`: whose gradient the choice is about; no other is computed. */
function testWays<Problem>(choice: Choice<Problem>, leaf: 'x' | 'w'): void {
  const ways = choice.ways.filter(({ name }) => !name.startsWith('matrix'));
  for (const [i, way] of ways.entries()) {
    let device: Device;
    let served = false;
    const choose = (op: string, _key: string, problem: unknown) => {
      if (op !== choice.op) return undefined;
      served ||= way.serves(device, problem as Problem);
      return way.name;
    };
    const body = async (opened: Device) => {
      device = opened;
      let computed = 0;
      for (let k = 0; k < expectations.length && computed < CASES_A_WAY; k++) {
        const { options, cin, inputs, expected, gradients } = expectations[(i + k) % expectations.length];
        served = false;
        trace(device, inputs.x, inputs.w, options);
        if (!served) continue;
        computed++;
        await checkOp(device, `${choice.op} '${way.name}'`, {
          ...{ inputs, expected, gradients: (dy) => ({ [leaf]: gradients(dy)[leaf] }) },
          op: (rec, t) => conv3d(rec, t.x, t.w, null, options),
          ...{ tolerance: { terms: 27 * cin }, gradientTolerance: { terms: 300 } },
        });
      }
      assert.ok(computed > 0, `${way.name} serves none of the cases, so nothing was tested`);
    };
    const kind = way.name.startsWith('windows') ? 'llvmpipe' : undefined;
    gpuTest(`${choice.op} '${way.name}' equals the reference`, body, { software: true, kind, choose });
  }
  test(`the ways of ${choice.op} have names of their own`, () => {
    assert.is(new Set(choice.ways.map(({ name }) => name)).size, choice.ways.length);
  });
}

/** One of each kind that GPUs use for three taps: what differs within a kind does not concern the reading of two tensors. */
const READ_TWO = CONV3D.ways.filter(({ name }) => /^(direct|tiled).* x4 c4(?!.*uniform| split [24])/.test(name));

const two = [random([1, 4, 7, 30, 8], 1), random([1, 4, 7, 30, 6], 2)];
const ofTwo = expectationOf(concatReference(two), random([3, 3, 3, 14, 16], 3), [1, 1, 1]);

for (const way of READ_TWO) {
  let served = false;
  const choose = (op: string, _key: string, problem: unknown) => {
    if (op !== CONV3D.op) return undefined;
    served ||= (problem as Convolution).also !== undefined && way.serves(device, problem as Convolution);
    return way.name;
  };
  let device: Device;
  gpuTest(
    `conv3d '${way.name}' of two tensors equals that of the joined one`,
    async (opened) => {
      device = opened;
      const { options, inputs, expected, gradients } = ofTwo;
      await checkOp(device, `conv3d '${way.name}'`, {
        ...{ inputs: { x: two[0], also: two[1], w: inputs.w }, expected },
        op: (rec, t) => conv3dJoined(rec, [t.x, t.also], t.w, null, options),
        gradients: (dy) => {
          const { x, w } = gradients(dy);
          return { x: slice(x, 0, 8), also: slice(x, 8, 14), w };
        },
        ...{ tolerance: { terms: 27 * 14 }, gradientTolerance: { terms: 300 } },
      });
      assert.ok(served, `${way.name} does not read two tensors`);
    },
    { software: false, choose },
  );
}

/** Transposed, but not flipped. */
for (const { name } of CONV3D.ways.filter(({ name }) => /^tiled 4x8[x\d]+ x\d c4/.test(name))) {
  let taken = 0;
  gpuTest(
    `conv_transpose3d takes its input gradient by '${name}'`,
    async (device) => {
      const [x, w] = [random([1, 4, 15, 30, 16], 1), random([...THREE, 16, 13], 2)];
      const options = { stride: [1, 1, 1] as Triple, padding: [1, 1, 1] as Triple };
      await checkOp(device, name, {
        ...{ inputs: { x, w }, expected: transposed.convTranspose3d(x, w, null, options) },
        op: (rec, t) => convTranspose3d(rec, t.x, t.w, null, options),
        gradients: (dy) => ({ x: transposed.convTranspose3dGradInput(dy, w, x.shape, options) }),
        ...{ tolerance: { terms: 27 * 16 }, gradientTolerance: { terms: 27 * 13 } },
      });
      assert.ok(taken > 0, `${name} was not asked for`);
    },
    { software: false, choose: (op) => (op === CONV3D.op && ++taken > 0 ? name : undefined) },
  );
}

testWays(CONV3D, 'x');
testWays(CONV3D_GRAD_WEIGHT, 'w');

gpuTest('a chosen way that cannot compute a problem is passed over for the usual one', async (device) => {
  const [x, w, y] = [
    [1, 4, 4, 4, 4],
    [2, 2, 2, 4, 4],
    [1, 2, 2, 2, 4],
  ].map((shape) => device.tensor(shape, 't'));
  const problem = { kernel: [2, 2, 2], stride: [2, 2, 2], padding: [0, 0, 0], x, w, y, transpose: false, flip: false };
  const forced = CONV3D.ways.find(({ name }) => name.startsWith('tiled')) as (typeof CONV3D.ways)[number];
  const told = { ...device, choose: () => forced.name, limits: device.limits } as unknown as Device;
  assert.is(forced.serves(device, problem as never), false);
  assert.is(wayFor(told, CONV3D, problem as never), wayFor(device, CONV3D, problem as never));
});

/** A convolution 3 x 3 x 3 of planned tensors, which hold no memory. */
function planned(device: Device, size: Triple, cin: number, cout = cin): Convolution {
  const rec = new Recording(device, 'planned');
  const [x, y] = [cin, cout].map((channels) => rec.tensor([2, ...size, channels], 'volume'));
  const w = rec.tensor([...THREE, cin, cout], 'w');
  return { kernel: THREE, stride: [1, 1, 1], padding: [1, 1, 1], x, w, y, transpose: false, flip: false };
}

/** A GPU of large buffers, and workgroups of at most `kib` KiB, that computes nothing. */
function dryDevice(device: Device, kib: number, traits: DeviceTraits = {}): Device {
  const workgroups = { maxComputeInvocationsPerWorkgroup: 256, maxComputeWorkgroupStorageSize: kib * 1024 };
  const buffers = { maxBufferSize: 2 ** 31, maxStorageBufferBindingSize: 2 ** 31 - 4 };
  return new Device(dryGpu({ ...limitsOf(device.limits), ...workgroups, ...buffers } as never), traits);
}

gpuTest(
  'GPUs take boxes where these fit into workgroup memory, and with the least that WebGPU grants other ways',
  async (device) => {
    const taken = (kib: number) => {
      const told = dryDevice(device, kib);
      return wayFor(told, CONV3D, planned(told, [80, 112, 112], 16)).name;
    };
    assert.match(taken(48), /^tiled/);
    assert.match(taken(16), /^direct/);
  },
);

gpuTest(
  "NVIDIA's GPUs take F(4, 3) with as many sums as the channels have and the outputs fill a GPU for",
  async (device) => {
    const told = dryDevice(device, 48, { vendor: 'nvidia' });
    const taken = (size: Triple, cout: number) => wayFor(told, CONV3D, planned(told, size, 16, cout)).name;
    assert.is(taken([80, 112, 112], 16), 'tiled 4x8x2 x8 c4 staged winograd');
    assert.is(taken([80, 112, 112], 24), 'tiled 4x4x4 x8 c2 staged winograd');
    assert.is(taken([40, 56, 56], 16), 'tiled 4x4x4 x8 c2 staged winograd');
  },
);

gpuTest('taps are shared out only where their partial sums take little memory', async (device) => {
  const serving = (size: Triple) =>
    CONV3D.ways.filter((way) => /split/.test(way.name) && way.serves(device, planned(device, size, 16))).length;
  assert.ok(serving([10, 14, 14]) > 0);
  assert.is(serving([80, 112, 112]), 0);
});

gpuTest('a gradient is taken by planes only where their partial sums take little memory', async (device) => {
  const told = dryDevice(device, 48);
  const served = (size: Triple, channels: number) => {
    const { w: dw, y: dy, ...rest } = planned(told, size, channels);
    return CONV3D_GRAD_WEIGHT.ways.some((way) => /^planes/.test(way.name) && way.serves(told, { ...rest, dy, dw }));
  };
  assert.is(served([80, 112, 112], 16), true);
  assert.is(served([10, 14, 14], 128), true);
  assert.is(served([128, 128, 128], 32), true, 'levels of two patches of 128^3');
  assert.is(served([64, 64, 64], 64), true);
  assert.is(served([8, 56, 56], 256), false);
});

gpuTest(
  'gradients by planes of what is stored in bfloat16',
  async (device) => {
    const way = CONV3D_GRAD_WEIGHT.ways.find(({ name }) => name === 'planes 7x32 c2x2') as Way<WeightGradient>;
    const [x, dy] = [halves([2, 5, 7, 30, 6], 1), halves([2, 5, 7, 30, 16], 2)];
    const stored = ({ shape, data }: Dense, label: string) => device.tensor(shape, label, { data, dtype: 'bf16' });
    const g = { kernel: THREE, stride: [1, 1, 1] as Triple, padding: [1, 1, 1] as Triple };
    const { dw } = await compute(device, (rec) => {
      const own = device.tensor([...THREE, 6, 16], 'dw');
      way.record(rec, { ...g, x: stored(x, 'x'), dy: stored(dy, 'dy'), dw: own });
      return { dw: own };
    });
    assertClose('dw', dw, reference.conv3dGradWeight(x, dy, [...THREE, 6, 16], g), { terms: 2 * 5 * 7 * 30 });
  },
  { software: false },
);

/** Values that are no numbers, where memory that a recording plans comes to lie. */
function poison(rec: Recording, vec4s: number): void {
  const nothing = rec.device.tensor([vec4s, 4], 'nothing', { data: new Float32Array(4 * vec4s).fill(Number.NaN) });
  const planned = rec.tensor([vec4s, 4], 'poisoned');
  rec.copy(nothing, planned);
  rec.copy(planned, rec.tensor([vec4s, 4], 'elsewhere'));
}

for (const name of ['planes 7x16 c2', 'rows i1 c2', 'windows'])
  gpuTest(
    `'${name}' leaves zeros behind the channels of a gradient that is transposed while it is summed`,
    async (device) => {
      const way = CONV3D_GRAD_WEIGHT.ways.find((one) => one.name === name) as Way<WeightGradient>;
      const { dw } = await compute(device, (rec) => {
        poison(rec, 2 ** 19);
        const x = upload(device, random([2, 3, 9, 19, 2], 1), 'x');
        const dy = upload(device, random([2, 3, 9, 19, 8], 2), 'dy');
        const own = device.tensor([...THREE, 8, 2], 'dw');
        way.record(rec, { kernel: THREE, stride: [1, 1, 1], padding: [1, 1, 1], x, dy, dw: own, swapped: true });
        return { dw: { ...own, shape: [...THREE, 8, 4] } };
      });
      const padding = [...dw].filter((_, i) => i % 4 >= 2);
      assert.equal(padding, new Array(27 * 8 * 2).fill(0));
    },
    { software: name === 'windows', kind: name === 'windows' ? 'llvmpipe' : undefined },
  );

run();
