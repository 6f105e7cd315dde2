import * as assert from 'uvu/assert';
import type { Device } from '../../engine/device.ts';
import { gelu, leakyRelu } from '../../engine/ops/activation.ts';
import { batchNorm, type FusedActivation, groupNorm, instanceNorm } from '../../engine/ops/norm.ts';
import { sumWithMoments } from '../../engine/ops/norm_passes.ts';
import { compute } from '../../engine/program.ts';
import { Recording } from '../../engine/recording.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { assertClose, type Tolerance } from '../compare.ts';
import { checkOp, gpuTest, run, upload } from '../harness.ts';
import { checkPadding } from '../padding.ts';
import { type Dense, dense, random } from '../reference/dense.ts';
import { geluGrad, gelu as geluReference } from '../reference/gelu.ts';
import { leakyReluGrad, leakyRelu as leakyReluReference } from '../reference/leaky_relu.ts';
import * as reference from '../reference/norm.ts';

type Shape = readonly number[];
const filled = (channels: number, value: number) => dense([channels], new Array(channels).fill(value));
const affineOf = (channels: number) => ({ gamma: random([channels], 2), beta: random([channels], 3) });

/** The three norms behind one face: forward and gradient of the reference, and the op. */
const kinds = {
  instance: (_channels: number) => ({
    forward: (x: Dense, gamma: Dense, beta: Dense) => reference.instanceNorm(x, gamma, beta).y,
    grad: (x: Dense, gamma: Dense, dy: Dense) => reference.instanceNormGrad(x, gamma, dy),
    op: (rec: Recording, t: Record<string, Tensor>, activation?: FusedActivation) =>
      instanceNorm(rec, t.x, t.gamma, t.beta, { activation }),
  }),
  group: (channels: number) => {
    const groups = [4, 3, 5, 2, 1].find((g) => channels % g === 0) as number;
    return {
      forward: (x: Dense, gamma: Dense, beta: Dense) => reference.groupNorm(x, gamma, beta, groups).y,
      grad: (x: Dense, gamma: Dense, dy: Dense) => reference.groupNormGrad(x, gamma, dy, groups),
      op: (rec: Recording, t: Record<string, Tensor>, activation?: FusedActivation) =>
        groupNorm(rec, t.x, groups, t.gamma, t.beta, { activation }),
    };
  },
  batch: (channels: number) => ({
    forward: (x: Dense, gamma: Dense, beta: Dense) => reference.batchNorm(x, gamma, beta).y,
    grad: (x: Dense, gamma: Dense, dy: Dense) => reference.batchNormGrad(x, gamma, dy),
    op: (rec: Recording, t: Record<string, Tensor>, activation?: FusedActivation) => {
      const running = {
        mean: rec.device.tensor([channels], 'mean'),
        variance: rec.device.tensor([channels], 'variance'),
      };
      return batchNorm(rec, t.x, running, t.gamma, t.beta, { training: true, activation });
    },
  }),
  running: (channels: number) => {
    const mean = random([channels], 5);
    const variance = dense(
      [channels],
      random([channels], 6).data.map((v) => Math.fround(1.5 + v)),
    );
    return {
      forward: (x: Dense, gamma: Dense, beta: Dense) => reference.batchNormEval(x, gamma, beta, mean, variance),
      grad: (x: Dense, gamma: Dense, dy: Dense) => reference.batchNormEvalGrad(x, gamma, dy, mean, variance),
      op: (rec: Recording, t: Record<string, Tensor>, activation?: FusedActivation) => {
        const running = { mean: upload(rec.device, mean, 'mean'), variance: upload(rec.device, variance, 'variance') };
        return batchNorm(rec, t.x, running, t.gamma, t.beta, { training: false, activation });
      },
    };
  },
};

const activations: Record<string, FusedActivation | undefined> = {
  none: undefined,
  leaky_relu: { kind: 'leaky_relu', slope: 0.1 },
  gelu: { kind: 'gelu' },
};

const activate = (z: Dense, a?: FusedActivation) =>
  a === undefined ? z : a.kind === 'gelu' ? geluReference(z) : leakyReluReference(z, a.slope);
const activateGrad = (z: Dense, dy: Dense, a?: FusedActivation) =>
  a === undefined ? dy : a.kind === 'gelu' ? geluGrad(z, dy) : leakyReluGrad(z, dy, a.slope);

/** By the kernels of software adapters, and by those of GPUs, which merge all chunks in one dispatch. */
function bothWays(name: string, body: (device: Device) => Promise<void>): void {
  gpuTest(`${name} (software)`, body, { software: true });
  gpuTest(`${name} (GPU)`, body, { software: false });
}

/** One chunk; several lanes with a ragged end; a wide pitch with few lanes; channels that fill and overfill vec4s. */
const shapes: Shape[] = [
  [2, 2, 3, 5, 4],
  [2, 5, 7, 6, 3],
  [1, 9, 11, 13, 10],
  [3, 4, 3, 7, 70],
];

for (const [kind, make] of Object.entries(kinds))
  for (const shape of shapes)
    for (const [name, activation] of Object.entries(activations))
      for (const affine of ['gamma beta', 'gamma', 'beta', '']) {
        if (affine !== 'gamma beta' && shape !== shapes[1]) continue;
        const channels = shape[shape.length - 1];
        const { forward, grad, op } = make(channels);
        const x = random(shape, 1);
        const given = Object.fromEntries(Object.entries(affineOf(channels)).filter(([key]) => affine.includes(key)));
        const gamma = given.gamma ?? filled(channels, 1);
        const z = forward(x, gamma, given.beta ?? filled(channels, 0));
        const tested = kind === 'instance' || kind === 'batch' ? bothWays : gpuTest;
        tested(`${kind} norm [${shape}] ${affine || 'plain'}, activation ${name}, both ways`, (device) =>
          checkOp(device, `${kind} norm`, {
            inputs: { x, ...given },
            op: (rec, t) => op(rec, t, activation),
            expected: activate(z, activation),
            gradients: (dy) => {
              const { dx, dgamma, dbeta } = grad(x, gamma, activateGrad(z, dy, activation));
              return { x: dx, ...(given.gamma && { gamma: dgamma }), ...(given.beta && { beta: dbeta }) };
            },
            tolerance: { terms: 64 },
          }),
        );
      }

for (const [name, activation] of Object.entries(activations).slice(1))
  gpuTest(`the fused ${name} equals the norm followed by the activation`, async (device) => {
    const shape = [2, 6, 5, 7, 6];
    const { gamma, beta } = affineOf(6);
    const dy = upload(device, random(shape, 9), 'dy', { grad: false });
    const both = async (fused: boolean) => {
      const leaf = (value: Dense, label: string) => ({
        ...upload(device, value, label),
        grad: device.tensor(value.shape, label),
      });
      const leaves = { x: leaf(random(shape, 1), 'x'), gamma: leaf(gamma, 'gamma'), beta: leaf(beta, 'beta') };
      return compute(device, (rec) => {
        let y = instanceNorm(rec, leaves.x, leaves.gamma, leaves.beta, { activation: fused ? activation : undefined });
        if (!fused) y = activation?.kind === 'gelu' ? gelu(rec, y) : leakyRelu(rec, y, activation?.slope);
        rec.backward(y, { seed: dy });
        return { y, dx: leaves.x.grad, dgamma: leaves.gamma.grad, dbeta: leaves.beta.grad };
      });
    };
    const [fused, pair] = [await both(true), await both(false)];
    for (const key of ['y', 'dx', 'dgamma', 'dbeta'] as const) {
      assertClose(key, fused[key], { shape: [pair[key].length], data: pair[key] });
    }
  });

for (const [kind, make] of Object.entries(kinds))
  gpuTest(`${kind} norm keeps the padding zero`, (device) =>
    checkPadding(device, { x: random([2, 5, 7, 6, 3], 1), ...affineOf(3) }, (rec, t) =>
      make(3).op(rec, t, activations.leaky_relu),
    ),
  );

gpuTest('only some gradients are asked for: the others cost nothing', async (device) => {
  const shape = [2, 5, 7, 6, 3];
  const { gamma, beta } = affineOf(3);
  const x = random(shape, 1);
  const dy = random(shape, 9);
  const expected = reference.instanceNormGrad(x, gamma, dy);
  const record = (asked: string) => {
    const rec = new Recording(device, asked);
    const leaf = (value: Dense, label: string) => {
      const t = upload(device, value, label, { grad: asked.includes(label) });
      return asked.includes(label) ? { ...t, grad: device.tensor(value.shape, label) } : t;
    };
    const leaves = [leaf(x, 'x'), leaf(gamma, 'gamma'), leaf(beta, 'beta')] as const;
    const y = instanceNorm(rec, ...leaves);
    rec.backward(y, { seed: upload(device, dy, 'dy', { grad: false }) });
    return { rec, leaves };
  };
  const names = (rec: Recording) => rec.commands.map((c) => (c.kind === 'dispatch' ? c.kernel.name : c.kind));
  assert.not(names(record('beta').rec).some((name) => name.startsWith('norm_grad_apply')));
  assert.not(names(record('x').rec).includes('norm_grad_affine'));
  const got = await compute(device, (rec) => {
    const leaf = { ...upload(device, beta, 'beta'), grad: device.tensor([3], 'dbeta') };
    const y = instanceNorm(
      rec,
      upload(device, x, 'x', { grad: false }),
      upload(device, gamma, 'gamma', { grad: false }),
      leaf,
    );
    rec.backward(y, { seed: upload(device, dy, 'dy', { grad: false }) });
    return { dbeta: leaf.grad };
  });
  assertClose('dbeta alone', got.dbeta, expected.dbeta, { terms: 64 });
});

gpuTest(
  'more samples than a grid has workgroups along an axis are normalised too (kernels of GPUs)',
  async (device) => {
    const x = random([65537, 2, 4], 1);
    // Two voxels that lie apart: where they are nearly equal rounding is all that is left of their difference.
    x.data.forEach((value, i) => {
      if (i % 8 >= 4) x.data[i] = Math.fround(x.data[i - 4] + 1 + Math.abs(value));
    });
    const dy = random(x.shape, 9);
    const { gamma, beta } = affineOf(4);
    const expected = reference.instanceNormGrad(x, gamma, dy);
    const got = await compute(device, (rec) => {
      const leaf = upload(device, x, 'x');
      const dx = device.tensor(x.shape, 'dx');
      const affine = [gamma, beta].map((value, i) => upload(device, value, `${i}`, { grad: false }));
      const y = instanceNorm(rec, { ...leaf, grad: dx }, affine[0], affine[1]);
      rec.backward(y, { seed: upload(device, dy, 'dy', { grad: false }) });
      return { y, dx };
    });
    assertClose('y', got.y, reference.instanceNorm(x, gamma, beta).y);
    assertClose('dx', got.dx, expected.dx, { terms: 64 });
  },
  { software: false },
);

gpuTest('batch norm moves the running statistics as PyTorch does, each time it runs', async (device) => {
  const x = random([2, 5, 7, 6, 3], 1);
  const before = { mean: random([3], 5), variance: dense([3], [0.5, 1, 2]) };
  const { mean, variance } = reference.batchNorm(x, filled(3, 1), filled(3, 0));
  // Side by side in one buffer, as parameters lie.
  const flat = device.tensor([68], 'flat', {
    data: [...before.mean.data, ...new Array(61).fill(0), ...before.variance.data, 0],
  });
  const running = { mean: { ...flat, shape: [3], pitch: 4 }, variance: { ...flat, shape: [3], pitch: 4, offset: 256 } };
  let expected = before;
  for (let step = 0; step < 2; step++) {
    await compute(device, (rec) => ({
      y: batchNorm(rec, upload(device, x, 'x'), running, undefined, undefined, { training: true, momentum: 0.2 }),
    }));
    expected = reference.batchNormRunning(expected, { mean, variance }, x.data.length / 3, 0.2);
    assertClose('running mean', await device.read(running.mean), expected.mean);
    assertClose('running variance', await device.read(running.variance), expected.variance);
  }
});

gpuTest('batch norm of rows [rows, C]', (device) => {
  const x = random([37, 6], 1);
  const { gamma, beta } = affineOf(6);
  return checkOp(device, 'batch norm', {
    inputs: { x, gamma, beta },
    op: kinds.batch(6).op,
    expected: reference.batchNorm(x, gamma, beta).y,
    gradients: (dy) => {
      const { dx, dgamma, dbeta } = reference.batchNormGrad(x, gamma, dy);
      return { x: dx, gamma: dgamma, beta: dbeta };
    },
    tolerance: { terms: 64 },
  });
});

bothWays('a mean far from zero does not spoil the variance', async (device) => {
  const shape = [1, 16, 24, 20, 3];
  const x = dense(
    shape,
    random(shape, 1).data.map((v) => Math.fround(1000 + v)),
  );
  const plain = [filled(3, 1), filled(3, 0)] as const;
  const y = await compute(device, (rec) => ({ y: instanceNorm(rec, upload(device, x, 'x')) }));
  // Half a step of float32 at 1000 is 3e-5; the mean cannot be stored closer, and 1 / sd is 1.7.
  assertClose('y', y.y, reference.instanceNorm(x, ...plain).y, { absolute: 2e-4 });
});

bothWays('a constant channel becomes beta, not infinity', async (device) => {
  const x = dense([1, 3, 4, 5, 2], new Array(120).fill(7.25));
  const beta = random([2], 3);
  const { y } = await compute(device, (rec) => ({
    y: instanceNorm(rec, upload(device, x, 'x'), undefined, upload(device, beta, 'beta')),
  }));
  assertClose('y', y, { shape: x.shape, data: Float64Array.from({ length: 120 }, (_, i) => beta.data[i % 2]) });
});

type Kind = ReturnType<(typeof kinds)[keyof typeof kinds]>;

/** Without an activation, forward and every gradient. */
function checkNorm(
  device: Device,
  { op, forward, grad }: Kind,
  inputs: Record<'x' | 'gamma' | 'beta', Dense>,
  tolerance: Tolerance,
): Promise<void> {
  const { x, gamma, beta } = inputs;
  return checkOp(device, 'norm', {
    ...{ inputs, expected: forward(x, gamma, beta), tolerance },
    op: (rec, t) => op(rec, t),
    gradients: (dy) => {
      const { dx, dgamma, dbeta } = grad(x, gamma, dy);
      return { x: dx, gamma: dgamma, beta: dbeta };
    },
  });
}

bothWays('a big volume, instance and group: several merging stages', async (device) => {
  const x = random([1, 40, 56, 56, 16], 1);
  const { gamma, beta } = affineOf(16);
  for (const kind of [kinds.instance(16), kinds.group(16)]) {
    await checkNorm(device, kind, { x, gamma, beta }, { terms: 256 });
  }
});

/** Channels that fill no vec4 and no power of two of them; more chunks than lanes a sample; more samples than lanes. */
for (const [shape, mean] of [
  [[5, 13, 37, 41, 9], 0],
  [[3, 9, 31, 33, 70], 30],
  [[6, 7, 9, 10, 2], -60],
  [[256, 1, 3, 5, 5], 2],
  [[259, 1, 3, 5, 3], 2],
] as [number[], number][])
  bothWays(`many samples, many chunks: [${shape}], values around ${mean}`, async (device) => {
    const channels = shape[4];
    const noise = random(shape, 1);
    const x = { shape, data: noise.data.map((v) => Math.fround(mean + v)) };
    const { gamma, beta } = affineOf(channels);
    // A mean is off by half a step of float32, and every normalised value with it.
    const absolute = 1e-5 + 2 ** -22 * Math.abs(mean);
    for (const kind of [kinds.instance(channels), kinds.batch(channels)]) {
      await checkNorm(device, kind, { x, gamma, beta }, { absolute, terms: 64 * (1 + Math.abs(mean)) });
    }
  });

bothWays('moments that a kernel left of parts of any size, the last of them empty, are merged', async (device) => {
  const [samples, parts, channels] = [2, 2309, 6];
  const sizes = Array.from({ length: parts }, (_, k) => (k < 2300 ? 1 + (k % 4) : 0));
  const voxels = sizes.reduce((sum, size) => sum + size, 0);
  const x = { shape: [samples, voxels, 1, 1, channels], data: new Float64Array(0) };
  x.data = random(x.shape, 4).data.map((v) => Math.fround(20 + v));
  const moments = new Float32Array(samples * parts * 3 * channels);
  for (let n = 0; n < samples; n++)
    for (let k = 0, first = 0; k < parts; first += sizes[k++])
      for (let c = 0; c < channels; c++) {
        const values = Array.from({ length: sizes[k] }, (_, i) => x.data[(n * voxels + first + i) * channels + c]);
        const mean = values.reduce((sum, v) => sum + v, 0) / Math.max(1, values.length);
        const m2 = values.reduce((sum, v) => sum + (v - mean) ** 2, 0);
        for (const [q, value] of [mean, m2, values.length].entries())
          moments[((n * parts + k) * 3 + q) * channels + c] = value;
      }
  const { y } = await compute(device, (rec) => {
    const t = upload(device, x, 'x');
    rec.noteMoments(t, device.tensor([samples * parts * 3, channels], 'moments', { data: moments }));
    return { y: instanceNorm(rec, t) };
  });
  assertClose('y', y, reference.instanceNorm(x, filled(channels, 1), filled(channels, 0)).y, { absolute: 1e-5 });
});

for (const shape of [
  [2, 3, 5, 7, 3],
  [1, 17, 19, 23, 10],
  [3, 5, 6, 7, 70],
])
  bothWays(`parts are added up and measured in one pass: [${shape}]`, async (device) => {
    const parts = 3;
    const channels = shape[4];
    const x = random([parts * shape[0], ...shape.slice(1)], 5);
    x.data = x.data.map((v) => Math.round(64 * v + 320) / 64);
    const expected = dense(
      shape,
      Array.from(
        { length: x.data.length / parts },
        (_, i) => x.data[i] + x.data[i + x.data.length / parts] + x.data[i + (2 * x.data.length) / parts],
      ),
    );
    for (const dtype of ['f32', 'bf16'] as const) {
      let passes = 0;
      const results = await compute(device, (rec) => {
        const y = rec.tensor(shape, 'y', { dtype });
        sumWithMoments(rec, upload(device, x, 'x'), y, parts);
        passes = rec.commands.length;
        return { y, z: instanceNorm(rec, y) };
      });
      assert.is(passes, 1);
      const step = dtype === 'bf16' ? 2 ** -4 : 0;
      assertClose('sum', results.y, expected, { absolute: step + 1e-6 });
      const { y: z } = reference.instanceNorm(expected, filled(channels, 1), filled(channels, 0));
      assertClose('its norm', results.z, z, { absolute: 2 * step + 2e-5 });
    }
  });

gpuTest('what cannot be normalised is refused by name', async (device) => {
  const rec = new Recording(device, 'refused');
  const x = device.tensor([2, 1, 1, 1, 6], 'x');
  const wide = device.tensor([2, 2, 2, 2, 6], 'wide');
  assert.throws(() => instanceNorm(rec, x), /instance_norm: 'x' \[2, 1, 1, 1, 6\] has one value/);
  assert.throws(() => groupNorm(rec, wide, 4), /group_norm: 'wide' has 6 channels, which 4 groups cannot share/);
  assert.throws(() => instanceNorm(rec, wide, device.tensor([5], 'gamma')), /gamma \[5\] must be \[6\]/);
});

run();
