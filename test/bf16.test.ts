/** bfloat16 storage: rounding, every op of the network on it, and what has no form for it. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { bf16Form, fromBf16, toBf16 } from '../engine/bf16.ts';
import type { Device, DeviceTraits } from '../engine/device.ts';
import { ActionError } from '../engine/errors.ts';
import { kernel } from '../engine/kernel.ts';
import { gelu, leakyRelu } from '../engine/ops/activation.ts';
import { concat } from '../engine/ops/concat.ts';
import { concatBatch } from '../engine/ops/concat_batch.ts';
import { convTranspose3d } from '../engine/ops/conv_transpose3d.ts';
import { conv3d } from '../engine/ops/conv3d.ts';
import { dropout } from '../engine/ops/dropout.ts';
import { maxPool3d } from '../engine/ops/max_pool3d.ts';
import { batchNorm, groupNorm, instanceNorm } from '../engine/ops/norm.ts';
import { resize3d } from '../engine/ops/resize3d.ts';
import { sliceBatch } from '../engine/ops/slice.ts';
import { compute } from '../engine/program.ts';
import type { Recording } from '../engine/recording.ts';
import type { Tensor } from '../engine/tensor.ts';
import { gpuTest, run, traits } from './harness.ts';
import { random } from './reference/dense.ts';

const round = (values: Float32Array) => fromBf16(toBf16(values)).subarray(0, values.length);

test('bfloat16 rounds to the nearest, ties to even, and keeps NaN, infinities and signs', () => {
  const cases: [number, number][] = [
    [1, 1],
    [1 + 1 / 256, 1], // a tie between 1 and 1 + 1/128: the even one
    [1 + 3 / 256, 1 + 4 / 256],
    [1 + 1.01 / 256, 1 + 2 / 256],
    [-Math.PI, -3.140625],
    [0, 0],
    [-0, -0],
    [1e-40, round(new Float32Array([1e-40]))[0]],
    [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY],
    [3.4028234e38, Number.POSITIVE_INFINITY],
  ];
  for (const [from, to] of cases) assert.ok(Object.is(round(new Float32Array([from]))[0], to), `${from} -> ${to}`);
  const bits = new Uint32Array([0x7f800001, 0xffffffff]);
  assert.ok([...round(new Float32Array(bits.buffer))].every(Number.isNaN));
});

gpuTest('the device rounds as the host does, and a bfloat16 tensor takes half the bytes', async (device) => {
  const values = Float32Array.from(random([3, 5, 8], 1).data, (v, i) => v * 10 ** ((i % 30) - 15));
  values.set([Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 3.4028234e38, -3.4028234e38, 0, -0]);
  const before = device.bytesHeld;
  const x = device.tensor([3, 5, 8], 'x', { data: values });
  assert.is(device.bytesHeld - before, 480);
  const half = device.tensor([3, 5, 8], 'half', { data: values, dtype: 'bf16' });
  assert.is(device.bytesHeld - before, 720);
  assert.equal(await device.read(half), round(values));
  values.fill(Number.NaN, 6, 9);
  device.write(x, values);
  const { y } = await compute(device, (rec) => {
    const y = rec.tensor(x.shape, 'y', { dtype: 'bf16' });
    rec.dispatch(copyKernel, { x, y }, { count: 30 }, 30);
    return { y };
  });
  const expected = round(values);
  y.forEach((v, i) => {
    assert.ok(Object.is(v, expected[i]), `${values[i]} becomes ${v} instead of ${expected[i]}`);
  });
});

const copyKernel = kernel(
  'copy_test',
  `struct Params { count: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < p.count) { y[id.x] = x[id.x]; }
}`,
);

interface OpCase {
  name: string;
  shape: number[];
  weights?: number[];
  op(rec: Recording, x: Tensor, w: Tensor | null): Tensor;
}

const runningOf = (device: Device, channels: number) => ({
  mean: device.tensor([channels], 'mean'),
  variance: device.tensor([channels], 'variance'),
});
const countersOf = (device: Device) => device.tensor([2], 'counters', { dtype: 'u32', dense: true, data: [1, 2] });

const OPS: OpCase[] = [
  {
    ...{ name: 'conv3d', shape: [2, 5, 6, 7, 6], weights: [3, 3, 3, 6, 8] },
    op: (rec, x, w) => conv3d(rec, x, w as Tensor, null, { padding: 1 }),
  },
  {
    ...{ name: 'conv3d stored as float32', shape: [1, 4, 4, 9, 8], weights: [1, 1, 1, 8, 3] },
    op: (rec, x, w) => conv3d(rec, x, w as Tensor, null, { store: 'f32' }),
  },
  {
    ...{ name: 'conv_transpose3d', shape: [2, 3, 2, 5, 8], weights: [2, 2, 2, 8, 4] },
    op: (rec, x, w) => convTranspose3d(rec, x, w as Tensor, null, { stride: 2 }),
  },
  {
    ...{ name: 'instance_norm', shape: [2, 4, 5, 6, 8] },
    op: (rec, x) => instanceNorm(rec, x, undefined, undefined, { activation: { kind: 'leaky_relu', slope: 0.01 } }),
  },
  {
    ...{ name: 'group_norm with gelu', shape: [2, 4, 5, 6, 8] },
    op: (rec, x) => groupNorm(rec, x, 2, undefined, undefined, { activation: { kind: 'gelu' } }),
  },
  {
    ...{ name: 'batch_norm', shape: [2, 4, 5, 6, 8] },
    op: (rec, x) => batchNorm(rec, x, runningOf(rec.device, 8), undefined, undefined, { training: true }),
  },
  { name: 'gelu', shape: [1, 3, 4, 5, 8], op: (rec, x) => gelu(rec, x) },
  {
    ...{ name: 'dropout', shape: [2, 3, 4, 5, 8] },
    op: (rec, x) => dropout(rec, x, 0.3, { counters: countersOf(rec.device), stream: 3 }),
  },
  { name: 'slice_batch by a copy', shape: [4, 1, 2, 3, 4], op: (rec, x) => sliceBatch(rec, x, 1, 3) },
  { name: 'slice_batch by a view', shape: [4, 2, 2, 16, 8], op: (rec, x) => sliceBatch(rec, x, 1, 3) },
  { name: 'concat_batch', shape: [2, 3, 4, 5, 8], op: (rec, x) => concatBatch(rec, [x, x]) },
  { name: 'max_pool3d', shape: [2, 4, 6, 8, 4], op: (rec, x) => maxPool3d(rec, x, 2) },
  { name: 'resize3d', shape: [1, 3, 4, 5, 4], op: (rec, x) => resize3d(rec, x, [6, 8, 10], { alignCorners: false }) },
  { name: 'leaky_relu', shape: [1, 3, 4, 5, 8], op: (rec, x) => leakyRelu(rec, x, 0.1) },
  { name: 'concat, the same input twice', shape: [1, 3, 4, 5, 8], op: (rec, x) => concat(rec, [x, x]) },
];

/** The op on values that bfloat16 holds exactly: only its results are rounded, each once. */
async function results(device: Device, c: OpCase, dtype: 'f32' | 'bf16'): Promise<Record<string, Float32Array>> {
  const data = round(new Float32Array(random(c.shape, 3).data));
  const leaf = device.tensor(c.shape, 'x', { data, dtype });
  const w = c.weights && device.tensor(c.weights, 'w', { data: random(c.weights, 4).data });
  const x = { ...leaf, requiresGrad: true, grad: device.tensor(c.shape, 'dx', { dtype }) };
  const weight = w ? { ...w, requiresGrad: true, grad: device.tensor(w.shape, 'dw') } : null;
  return compute(device, (rec) => {
    const y = c.op(rec, x, weight);
    const dy = random([...y.shape], 5);
    const seed = device.tensor(y.shape, 'dy', { data: round(new Float32Array(dy.data)), dtype: y.dtype });
    rec.backward(y, { seed });
    const made: Record<string, Tensor> = weight ? { y, dx: x.grad, dw: weight.grad } : { y, dx: x.grad };
    return made;
  });
}

function checkRounded(c: OpCase, kernels: string, traits: DeviceTraits): void {
  const check = async (device: Device) => {
    const [full, half] = [await results(device, c, 'f32'), await results(device, c, 'bf16')];
    for (const [name, values] of Object.entries(full)) {
      const found = half[name];
      assert.is(found.length, values.length);
      const scale = Math.max(...values.map(Math.abs));
      values.forEach((v, i) => {
        const allowed = 2 ** -8 * Math.abs(v) + 1e-5 * scale;
        assert.ok(Math.abs(found[i] - v) <= allowed, `${name}[${i}]: ${found[i]}, on float32 ${v}`);
      });
    }
  };
  gpuTest(`${c.name} on bfloat16${kernels}: results are those on float32, rounded`, check, traits);
}

for (const c of OPS) checkRounded(c, '', traits);
for (const c of OPS.filter(({ name }) => /_norm/.test(name))) {
  checkRounded(c, ', kernels of GPUs', { software: false });
  checkRounded(c, ', kernels of software adapters', { software: true });
}

test('a kernel that reads scalars, writes components or takes addresses has no bfloat16 form', () => {
  const body = (y: string) => `struct Params { count: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;
@compute @workgroup_size(1) fn main() { ${y} }`;
  const refused = (code: string, name: string, why: RegExp) =>
    assert.throws(
      () => bf16Form(kernel('odd', code), [name]),
      (e: unknown) => e instanceof ActionError && why.test(e.message),
    );
  refused(body('y[0] = vec4f(x[0]);'), 'x', /'odd' has no bfloat16 form: 'x' is no array<vec4f>/);
  refused(body('y[0].x = 1.0;'), 'y', /writes a component of 'y'/);
  refused(body('let q = &y;'), 'y', /takes the address of 'y'/);
  const form = bf16Form(kernel('even', body('y[p.count] += y[u32(y[1].x)] * 2.0;')), ['y']);
  assert.match(
    form.code,
    'y[p.count] = bf16_pack(bf16_unpack(y[p.count]) + (bf16_unpack(y[u32(bf16_unpack(y[1]).x)]) * 2.0));',
  );
});

run();
