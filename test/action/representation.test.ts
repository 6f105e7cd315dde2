import * as assert from 'uvu/assert';
import { classMeans, exactPrototypes } from '../../engine/action/prototypes.ts';
import {
  type HeadOptions,
  type RepresentationHead,
  represent,
  representationHead,
  representKeys,
} from '../../engine/action/representation.ts';
import { indexVoxels } from '../../engine/action/sampling.ts';
import type { Device } from '../../engine/device.ts';
import { Parameters } from '../../engine/nn/parameters.ts';
import { concat } from '../../engine/ops/concat.ts';
import { conv3d } from '../../engine/ops/conv3d.ts';
import { gather } from '../../engine/ops/gather.ts';
import { l2Normalize } from '../../engine/ops/l2_normalize.ts';
import { resize3d } from '../../engine/ops/resize3d.ts';
import { compute } from '../../engine/program.ts';
import type { Recording } from '../../engine/recording.ts';
import { storedElements, type Tensor } from '../../engine/tensor.ts';
import { assertClose } from '../compare.ts';
import { gpuTest, run, upload } from '../harness.ts';
import { type Dense, random, type Triple } from '../reference/dense.ts';

const SAMPLES = 2;
const SIZE: Triple = [6, 8, 4];
const VOXELS = SAMPLES * 6 * 8 * 4;
const EXTENTS: Triple[] = [
  [2, 2, 1],
  [3, 4, 2],
  [6, 8, 4],
];
const CHANNELS = [12, 8, 4];
const LEVELS = EXTENTS.map((extent, k) => random([SAMPLES, ...extent, CHANNELS[k]], 50 + k));

const OPTIONS: Record<string, HeadOptions> = {
  'dense, corners aligned': { head: 'dense-3x3x3', headHidden: 12, headChannels: 7, alignCorners: true },
  'dense, half-pixel': { head: 'dense-3x3x3', headHidden: 6, headChannels: 8, alignCorners: false },
  'pointwise, half-pixel': { head: 'pointwise', headHidden: 10, headChannels: 5, alignCorners: false },
};

/** R at every voxel, [voxels, d]: the full-resolution maps that the engine never makes. */
function densely(rec: Recording, head: RepresentationHead, parameters: Parameters, levels: Tensor[]): Tensor {
  const { size, alignCorners } = head.sampling;
  const maps = concat(
    rec,
    levels.map((x) => resize3d(rec, x, size, { alignCorners })),
  );
  if (head.kind === 'pointwise') return head.forward(rec, parameters, rec.reshape(maps, [VOXELS, maps.shape[4]]));
  const first = parameters.get('representation.conv.weight');
  const [stored, hidden] = first.shape;
  const kernel = rec.reshape(first, [3, 3, 3, stored / 27, hidden]);
  const convolved = conv3d(rec, maps, kernel, null, { padding: 1 });
  const second = parameters.get('representation.out.weight');
  const weight = rec.reshape(second, [1, 1, 1, ...second.shape]);
  const y = conv3d(rec, convolved, weight, parameters.get('representation.out.bias'));
  return rec.reshape(y, [VOXELS, y.shape[4]]);
}

const indices = (device: Device, data: ArrayLike<number>) =>
  device.tensor([data.length], 'points', { dtype: 'u32', dense: true, data });

/** A value and the gradients of sum(y * dy) with respect to levels and parameters, by name. */
async function evaluate(
  device: Device,
  head: RepresentationHead,
  parameters: Parameters,
  dy: Dense,
  body: (rec: Recording, levels: Tensor[]) => Tensor,
): Promise<Map<string, Float32Array>> {
  const levels = LEVELS.map((x, k) => ({
    ...upload(device, x, `level${k}`),
    grad: device.tensor(x.shape, `dlevel${k}`),
  }));
  const seed = upload(device, dy, 'dy', { grad: false });
  const { y } = await compute(device, (rec) => {
    const y = body(rec, levels);
    rec.backward(y, { seed, leaves: [...levels, ...parameters.leaves()] });
    return { y };
  });
  const found = new Map([['y', y]]);
  for (const { grad } of levels) found.set(grad.label, (await device.read(grad)) as Float32Array);
  for (const [name, { data }] of await parameters.read(parameters.flatGrad)) found.set(name, data);
  assert.is(found.size, 1 + LEVELS.length + head.specs.length);
  return found;
}

for (const [name, options] of Object.entries(OPTIONS)) {
  gpuTest(`${name}: sparse equals dense at every voxel and in every gradient`, async (device) => {
    const head = representationHead(CHANNELS, SIZE, options);
    const parameters = Parameters.create(device, head.specs, { seed: 3 });
    // Every voxel, borders and corners included, some of them twice.
    const all = Array.from({ length: VOXELS }, (_, i) => i);
    const points = [...all, ...all.filter((i) => i % 7 === 0)];
    const dy = random([points.length, options.headChannels], 60);
    const dense = await evaluate(device, head, parameters, dy, (rec, levels) =>
      gather(rec, densely(rec, head, parameters, levels), indices(device, points)),
    );
    const sparse = await evaluate(device, head, parameters, dy, (rec, levels) =>
      represent(
        rec,
        head,
        parameters,
        levels.map((x) => [x]),
        indices(device, points),
      ),
    );
    for (const [key, value] of dense) {
      const scale = value.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
      assert.ok(scale > 0, `${key} is not all zero`);
      assertClose(
        key,
        sparse.get(key) as Float32Array,
        { shape: [value.length], data: value },
        { absolute: 1e-5 * Math.max(1, scale) },
      );
    }
  });
}

gpuTest('keys have unit length, no gradient, and come out the same in parts', async (device) => {
  const head = representationHead(CHANNELS, SIZE, OPTIONS['dense, corners aligned']);
  const parameters = Parameters.create(device, head.specs, { seed: 3 });
  const points = indices(
    device,
    Array.from({ length: 200 }, (_, i) => (i * 37) % VOXELS),
  );
  const found = await compute(device, (rec) => {
    const levels = LEVELS.map((x, k) => [upload(device, x, `level${k}`)]);
    const keys = representKeys(rec, head, parameters, levels, points);
    assert.not(keys.requiresGrad);
    const whole = l2Normalize(rec, represent(rec, head, parameters, levels, points));
    const parts = representKeys(rec, head, parameters, levels, points, 70 * 27 * 24 * 4);
    return { keys, whole, parts };
  });
  const rows = (data: Float32Array) => ({ shape: [200, data.length / 200], data });
  assertClose('keys', found.keys, rows(found.whole));
  assertClose('keys in parts', found.parts, rows(found.whole));
  for (let i = 0; i < 5; i++) {
    const length = Math.hypot(...found.parts.subarray(7 * i, 7 * i + 7));
    assert.ok(Math.abs(length - 1) < 1e-6, `key ${i} has length ${length}`);
  }
});

/** Codes of `classes` classes, some voxels of none, hard or not by chance. */
function randomCodes(classes: number): Uint32Array {
  const draws = random([VOXELS, 2], 80).data;
  return Uint32Array.from({ length: VOXELS }, (_, i) => {
    if (draws[2 * i + 1] > 0.6) return 0xffffffff;
    return Math.floor(((draws[2 * i] + 1) / 2) * 2 * classes);
  });
}

for (const [name, classes] of [
  ['dense, corners aligned', 2],
  ['dense, half-pixel', 5],
] as const) {
  gpuTest(`${name}: exact prototypes equal the mean over all voxels of ${classes} classes`, async (device) => {
    const head = representationHead(CHANNELS, SIZE, OPTIONS[name]);
    const d = OPTIONS[name].headChannels;
    const parameters = Parameters.create(device, head.specs, { seed: 5 });
    const codes = randomCodes(classes).map((code) => (code >> 1 === classes - 1 && classes > 2 ? 0xffffffff : code));
    const { exact, passes, one, dense } = await compute(device, (rec) => {
      const levels = LEVELS.map((x, k) => upload(device, x, `level${k}`));
      const index = indexVoxels(rec, indices(device, codes), classes);
      const half = (x: Tensor, k: number): Tensor => ({
        ...x,
        shape: [1, ...x.shape.slice(1)],
        offset: (k * storedElements(x) * 4) / 2,
      });
      const exact = exactPrototypes(
        rec,
        head,
        parameters,
        levels.map((x) => [x]),
        index,
      );
      assert.not(exact.requiresGrad);
      // The coarsest level's halves start on no multiple of 256 bytes, so the passes are of the two finer ones.
      const finer = levels.slice(1);
      const passes = classMeans(
        rec,
        finer.map((x) => [half(x, 0), half(x, 1)]),
        index,
        head.sampling,
      );
      const one = classMeans(
        rec,
        finer.map((x) => [x]),
        index,
        head.sampling,
      );
      return { exact, passes, one, dense: densely(rec, head, parameters, levels) };
    });
    const expected = { shape: [classes, d], data: new Float64Array(classes * d) };
    for (let c = 0; c < classes; c++) {
      const members = [...codes.keys()].filter((i) => codes[i] >> 1 === c);
      for (let k = 0; k < d; k++) {
        const sum = members.reduce((total, i) => total + dense[i * d + k], 0);
        expected.data[c * d + k] = members.length > 0 ? sum / members.length : exact[c * d + k];
      }
    }
    assertClose('prototypes', exact, expected, { absolute: 1e-5 });
    assertClose('means of two passes', passes, { shape: [classes, passes.length / classes], data: one });
    assert.ok(one.some((v) => v !== 0));
  });
}

gpuTest('class means made in parts equal those made at once', async (device) => {
  const size: Triple = [24, 8, 9];
  const voxels = 2 * 24 * 8 * 9;
  const draws = random([voxels], 81).data;
  const codes = indices(
    device,
    Array.from(draws, (v) => (v > 0.5 ? 0xffffffff : Math.floor(2 * (v + 1)) * 2)),
  );
  // A few planes a part; 15 voxels a sample, which cannot be cut.
  for (const [extents, dtype] of [
    [[36, 4, 4], 'f32'],
    [[36, 4, 4], 'bf16'],
    [[5, 3, 1], 'f32'],
  ] as const) {
    const { whole, parts } = await compute(device, (rec) => {
      const values = random([2, ...extents, 12], 82);
      const level = device.tensor(values.shape, 'level', { data: values.data, dtype });
      const index = indexVoxels(rec, codes, 3);
      const means = (bytes?: number) =>
        classMeans(rec, [[level]], index, { size, neighbourhood: 3, alignCorners: true }, bytes);
      return { whole: means(), parts: means(1) };
    });
    assertClose('means in parts', parts, { shape: [3, parts.length / 3], data: whole }, { absolute: 1e-6 });
    assert.ok(whole.filter((v) => v !== 0).length > whole.length / 2);
  }
});

run();
