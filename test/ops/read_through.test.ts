/** Convolutions and pooling that apply the norm and activation in front of them while they read: GPUs' kernels. */
import * as assert from 'uvu/assert';
import type { Device, DeviceTraits } from '../../engine/device.ts';
import { conv3d, conv3dJoined } from '../../engine/ops/conv3d.ts';
import { CONV3D, CONV3D_GRAD_WEIGHT } from '../../engine/ops/conv3d_ways.ts';
import { maxPool3d } from '../../engine/ops/max_pool3d.ts';
import { batchNorm, groupNorm, instanceNorm } from '../../engine/ops/norm.ts';
import { sliceBatch } from '../../engine/ops/slice.ts';
import { compute } from '../../engine/program.ts';
import { Recording } from '../../engine/recording.ts';
import type { Triple } from '../../engine/shape.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { assertClose } from '../compare.ts';
import { checkOp, gpuTest, run, upload } from '../harness.ts';
import { concat } from '../reference/concat.ts';
import * as convolution from '../reference/conv3d.ts';
import { type Dense, random } from '../reference/dense.ts';
import { leakyRelu, leakyReluGrad } from '../reference/leaky_relu.ts';
import * as pool from '../reference/max_pool3d.ts';
import * as norm from '../reference/norm.ts';
import { slice } from '../reference/slice.ts';

const GPU: DeviceTraits = { software: false };
const SLOPE = 0.1;
const ACTIVATION = { kind: 'leaky_relu', slope: SLOPE } as const;
const OPTIONS = { stride: [1, 1, 1] as Triple, padding: [1, 1, 1] as Triple };

/** x behind the norm and the activation, and how a gradient goes back through them; `x` far from zero in the mean. */
function normedReference(shape: readonly number[], seed: number) {
  const channels = shape[shape.length - 1];
  const raw = random(shape, seed);
  const x = { shape: raw.shape, data: raw.data.map((v) => Math.fround(v + 3)) };
  const [gamma, beta] = [random([channels], seed + 1), random([channels], seed + 2)];
  const z = norm.instanceNorm(x, gamma, beta).y;
  const back = (dy: Dense) => norm.instanceNormGrad(x, gamma, leakyReluGrad(z, dy, SLOPE));
  return { inputs: { x, gamma, beta }, act: leakyRelu(z, SLOPE), back };
}

const normed = (rec: Recording, t: Record<string, Tensor>) =>
  instanceNorm(rec, t.x, t.gamma, t.beta, { activation: ACTIVATION });

/** Kernels of a recording by name. */
const names = (rec: Recording) => rec.commands.map((c) => (c.kind === 'dispatch' ? c.kernel.name : c.kind));
const applied = (rec: Recording) => names(rec).filter((name) => name.startsWith('norm_apply')).length;

const NORMED = normedReference([2, 4, 7, 30, 6], 1);
const WEIGHTS = random([3, 3, 3, 6, 16], 9);
const OUTPUT = convolution.conv3d(NORMED.act, WEIGHTS, null, OPTIONS);

const BOXES = CONV3D.ways.filter(({ name }) => name.startsWith('tiled'));
const GRADIENTS = CONV3D_GRAD_WEIGHT.ways.filter(({ name }) => /^(rows|planes)/.test(name));
assert.is(BOXES.length, 18);
assert.is(GRADIENTS.length, 13);

/** Each box with another way of the weight gradient. */
for (const [i, way] of BOXES.entries()) {
  const gradient = GRADIENTS[i % GRADIENTS.length].name;
  const chosen: Record<string, string> = { conv3d: way.name, conv3d_grad_weight: gradient };
  gpuTest(
    `conv3d '${way.name}', gradient '${gradient}': the activated input is never written`,
    async (device) => {
      await checkOp(device, `conv3d '${way.name}'`, {
        inputs: { ...NORMED.inputs, w: WEIGHTS },
        op: (rec, t) => {
          const y = conv3d(rec, normed(rec, t), t.w, null, OPTIONS);
          assert.is(applied(rec), 0);
          return y;
        },
        expected: OUTPUT,
        gradients: (dy) => {
          const { dx, dgamma, dbeta } = NORMED.back(
            convolution.conv3dGradInput(dy, WEIGHTS, NORMED.act.shape, OPTIONS),
          );
          const dw = convolution.conv3dGradWeight(NORMED.act, dy, WEIGHTS.shape, OPTIONS);
          return { x: dx, gamma: dgamma, beta: dbeta, w: dw };
        },
        ...{ tolerance: { terms: 27 * 6 * 4 }, gradientTolerance: { terms: 3000 } },
      });
      const rec = new Recording(device, 'counted');
      const leaves = Object.fromEntries(
        Object.entries({ ...NORMED.inputs, w: WEIGHTS }).map(([key, value]) => [key, upload(device, value, key)]),
      );
      rec.backward(conv3d(rec, normed(rec, leaves), leaves.w, null, OPTIONS), {
        seed: upload(device, OUTPUT, 'dy', { grad: false }),
      });
      assert.is(applied(rec), 0, 'nor for the gradients');
    },
    { ...GPU, choose: (op) => chosen[op] },
  );
}

for (const way of BOXES)
  gpuTest(
    `conv3d '${way.name}' of two tensors reads the second through its norm`,
    async (device) => {
      const first = random([2, 4, 7, 30, 4], 20);
      const w = random([3, 3, 3, 10, 16], 21);
      const joined = concat([first, NORMED.act]);
      await checkOp(device, `conv3d '${way.name}'`, {
        inputs: { first, ...NORMED.inputs, w },
        op: (rec, t) => {
          const y = conv3dJoined(rec, [t.first, normed(rec, t)], t.w, null, OPTIONS);
          assert.is(applied(rec), 0);
          return y;
        },
        expected: convolution.conv3d(joined, w, null, OPTIONS),
        gradients: (dy) => {
          const d = convolution.conv3dGradInput(dy, w, joined.shape, OPTIONS);
          const { dx, dgamma, dbeta } = NORMED.back(slice(d, 4, 10));
          const dw = convolution.conv3dGradWeight(joined, dy, w.shape, OPTIONS);
          return { first: slice(d, 0, 4), x: dx, gamma: dgamma, beta: dbeta, w: dw };
        },
        ...{ tolerance: { terms: 27 * 10 * 4 }, gradientTolerance: { terms: 3000 } },
      });
    },
    { ...GPU, choose: (op) => (op === CONV3D.op ? way.name : undefined) },
  );

for (const kernel of [
  [2, 2, 2],
  [1, 2, 2],
  [3, 1, 2],
] as Triple[])
  gpuTest(
    `max_pool3d ${kernel} reads through the norm, both ways`,
    (device) =>
      checkOp(device, 'max_pool3d', {
        inputs: NORMED.inputs,
        op: (rec, t) => {
          const y = maxPool3d(rec, normed(rec, t), kernel);
          assert.is(applied(rec), 0);
          return y;
        },
        expected: pool.maxPool3d(NORMED.act, kernel),
        gradients: (dy) => {
          const { dx, dgamma, dbeta } = NORMED.back(pool.maxPool3dGrad(NORMED.act, dy, kernel));
          return { x: dx, gamma: dgamma, beta: dbeta };
        },
        ...{ tolerance: { terms: 64 }, gradientTolerance: { terms: 1000 } },
      }),
    GPU,
  );

gpuTest(
  'group norm, ReLU: the same',
  async (device) => {
    const [x, gamma, beta, w] = [
      random([2, 4, 7, 30, 8], 1),
      random([8], 2),
      random([8], 3),
      random([3, 3, 3, 8, 16], 4),
    ];
    const act = leakyRelu(norm.groupNorm(x, gamma, beta, 2).y, 0);
    const leaves = { x: upload(device, x, 'x'), gamma: upload(device, gamma, 'g'), beta: upload(device, beta, 'b') };
    const weights = upload(device, w, 'w');
    const { y } = await compute(device, (rec) => {
      const normal = groupNorm(rec, leaves.x, 2, leaves.gamma, leaves.beta, {
        activation: { kind: 'leaky_relu', slope: 0 },
      });
      const y = conv3d(rec, normal, weights, null, OPTIONS);
      assert.is(applied(rec), 0);
      return { y };
    });
    assertClose('conv3d', y, convolution.conv3d(act, w, null, OPTIONS), { terms: 27 * 8 * 4 });
  },
  { ...GPU, choose: (op) => (op === CONV3D.op ? BOXES[0].name : undefined) },
);

/** A norm on the device, and what `use` makes of its output; how often the output was written. */
async function uses(device: Device, use: (rec: Recording, act: Tensor) => Record<string, Tensor>) {
  const leaves = Object.fromEntries(
    Object.entries(NORMED.inputs).map(([key, value]) => [key, upload(device, value, key)]),
  );
  let times = -1;
  const results = await compute(device, (rec) => {
    const kept = use(rec, normed(rec, leaves));
    for (const t of Object.values(kept)) rec.keep(t);
    times = applied(rec);
    return kept;
  });
  return { results, times };
}

gpuTest(
  'a kernel without norms of its own gets the tensor, written once, when it first needs it',
  async (device) => {
    const { results, times } = await uses(device, (rec, act) => {
      const view = rec.reshape(act, [2, 4 * 7 * 30, 6]);
      const copies = [rec.like(act, 'copy'), rec.like(act, 'second')];
      for (const copy of copies) rec.copy(act, copy);
      return { act, view, copy: copies[0], pooled: maxPool3d(rec, act, [2, 2, 2]) };
    });
    assert.is(times, 1);
    const expected = { shape: [NORMED.act.data.length], data: NORMED.act.data };
    for (const key of ['act', 'view', 'copy']) assertClose(key, results[key], expected, { terms: 64 });
    assertClose('pooled', results.pooled, pool.maxPool3d(NORMED.act, [2, 2, 2]), { terms: 64 });
  },
  GPU,
);

gpuTest(
  'a part of it is a part of it',
  async (device) => {
    const { results } = await uses(device, (rec, act) => {
      const second = sliceBatch(rec, act, 1, 2);
      return { pooled: maxPool3d(rec, second, [2, 2, 2]) };
    });
    const { shape, data } = NORMED.act;
    const half = { shape: [1, ...shape.slice(1)], data: data.slice(data.length / 2) };
    assertClose('pooled', results.pooled, pool.maxPool3d(half, [2, 2, 2]), { terms: 64 });
  },
  GPU,
);

gpuTest(
  'first used after what it follows from has changed: refused, by the name of the command',
  async (device) => {
    const leaves = Object.fromEntries(
      Object.entries(NORMED.inputs).map(([key, value]) => [key, upload(device, value, key)]),
    );
    const after = (change: (rec: Recording) => void, use: (rec: Recording, act: Tensor) => unknown) => {
      const rec = new Recording(device, 'changed');
      const act = normed(rec, leaves);
      change(rec);
      return use(rec, act);
    };
    const keep = (rec: Recording, act: Tensor) => rec.keep(act);
    after((rec) => rec.clear(rec.tensor([6], 'other')), keep);
    for (const name of ['x', 'gamma', 'beta'])
      assert.throws(
        () => after((rec) => rec.clear(leaves[name]), keep),
        /^'instance_norm' is first used after 'clear' changed what it follows from; use or keep it before$/,
      );
    const pooled = (rec: Recording, act: Tensor) => maxPool3d(rec, act, 2);
    assert.throws(() => after((rec) => rec.clear(leaves.gamma), pooled), /first used after 'clear'/);
  },
  GPU,
);

gpuTest(
  'stored as bfloat16 it is read through too',
  async (device) => {
    const identity = Float32Array.from({ length: 36 }, (_, i) => Number(i % 7 === 0));
    const one = device.tensor([1, 1, 1, 6, 6], 'one', { data: identity });
    const [x, gamma, beta] = Object.entries(NORMED.inputs).map(([key, value]) => upload(device, value, key));
    const w = upload(device, WEIGHTS, 'w');
    const { y } = await compute(device, (rec) => {
      const half = conv3d(rec, x, one, null, { store: 'bf16' });
      assert.is(half.dtype, 'bf16');
      const y = conv3d(rec, normed(rec, { x: half, gamma, beta }), w, null, { ...OPTIONS, store: 'f32' });
      assert.is(applied(rec), 0);
      return { y };
    });
    const scale = OUTPUT.data.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
    assertClose('conv3d', y, OUTPUT, { absolute: 2 ** -6 * scale });
  },
  { ...GPU, choose: (op) => (op === CONV3D.op ? BOXES[0].name : undefined) },
);

gpuTest(
  'nobody needs it: it is not written',
  async (device) => {
    const { times } = await uses(device, (rec) => ({ other: rec.constant(rec.tensor([1], 'one'), 1) }));
    assert.is(times, 0);
  },
  GPU,
);

for (const [name, traits, make] of [
  ['a software adapter', { software: true }, normed],
  ['gelu', GPU, (rec, t) => instanceNorm(rec, t.x, t.gamma, t.beta, { activation: { kind: 'gelu' } })],
  ['a norm without beta', GPU, (rec, t) => instanceNorm(rec, t.x, t.gamma, undefined, { activation: ACTIVATION })],
  [
    'batch norm',
    GPU,
    (rec, t) => {
      const running = { mean: rec.device.tensor([6], 'mean'), variance: rec.device.tensor([6], 'variance') };
      return batchNorm(rec, t.x, running, t.gamma, t.beta, { training: true, activation: ACTIVATION });
    },
  ],
] as [string, DeviceTraits, typeof normed][])
  gpuTest(
    `${name}: written at once`,
    async (device) => {
      const rec = new Recording(device, 'written');
      const leaves = Object.fromEntries(
        Object.entries(NORMED.inputs).map(([key, value]) => [key, upload(device, value, key)]),
      );
      make(rec, leaves);
      assert.is(applied(rec), 1);
    },
    traits,
  );

run();
