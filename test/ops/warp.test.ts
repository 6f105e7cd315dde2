import * as assert from 'uvu/assert';
import type { Device } from '../../engine/device.ts';
import { type Box, controlShape, packWarp, WARP_PARAMS, type WarpSource, warp } from '../../engine/ops/warp.ts';
import { compute } from '../../engine/program.ts';
import { rows } from '../../engine/tensor.ts';
import { assertClose } from '../compare.ts';
import { gpuTest, run } from '../harness.ts';
import { count, random, type Triple } from '../reference/dense.ts';
import { type WarpTransform, type WarpVolume, warp as warpReference } from '../reference/warp.ts';

const IDENTITY = [1, 0, 0, 0, 1, 0, 0, 0, 1];

function volume(shape: Triple, channels: number, seed: number): WarpVolume {
  const draws = random(shape, seed + 1000).data;
  return {
    shape,
    channels,
    image: random([channels, ...shape], seed).data,
    labels: draws.map((v) => Math.floor((v + 1) * 128)),
  };
}

/** The voxels of a box, channel after channel. */
function cut({ shape, channels, image, labels }: WarpVolume, { origin, extent }: Box) {
  const pick = (values: ArrayLike<number>, c: number) =>
    Array.from({ length: count(extent) }, (_, i) => {
      const z = origin[0] + Math.floor(i / (extent[1] * extent[2]));
      const y = origin[1] + (Math.floor(i / extent[2]) % extent[1]);
      return values[((c * shape[0] + z) * shape[1] + y) * shape[2] + origin[2] + (i % extent[2])];
    });
  return { image: Array.from({ length: channels }, (_, c) => pick(image, c)).flat(), labels: pick(labels, 0) };
}

interface Sample {
  volume: WarpVolume;
  transform: WarpTransform;
  box?: Box;
}

/** Uploads each sample's box (by default the whole volume), one after the other in places with nonsense between them. */
function upload(device: Device, samples: readonly Sample[], patch: Triple, labelled: boolean): WarpSource {
  const batch = samples.length;
  const boxes = samples.map(({ volume, box }) => box ?? { origin: [0, 0, 0] as const, extent: volume.shape });
  const voxels = Math.max(...boxes.map(({ extent }) => count(extent))) + 5;
  const { channels } = samples[0].volume;
  const image = new Float32Array(batch * voxels * channels).fill(1e9);
  const words = Math.ceil(voxels / 4);
  const bytes = new Uint8Array(batch * words * 4).fill(255);
  const params = new Uint32Array(batch * WARP_PARAMS).fill(0x7fc00000);
  samples.forEach(({ volume, transform }, b) => {
    const values = cut(volume, boxes[b]);
    image.set(values.image, b * voxels * channels);
    bytes.set(values.labels, b * words * 4);
    const at = { image: b * voxels * channels, labels: b * words * 4 };
    packWarp(params, b, { ...transform, volume: volume.shape, box: boxes[b], at, elastic: !!transform.elastic });
  });
  const first = samples.find(({ transform }) => transform.elastic)?.transform.elastic;
  const control = samples.flatMap(({ transform }) =>
    Array.from(transform.elastic?.control ?? new Float32Array(first ? 3 * count(first.shape) : 0).fill(9)),
  );
  return {
    image: device.tensor([image.length], 'volumes', { dense: true, data: image }),
    labels: labelled
      ? device.tensor([batch * words], 'classes', { dense: true, dtype: 'u32', data: new Uint32Array(bytes.buffer) })
      : null,
    params: device.tensor([batch, WARP_PARAMS], 'params', { dense: true, dtype: 'u32', data: params }),
    ...(first && {
      elastic: {
        control: device.tensor([batch, ...controlShape(patch, first.spacing), 3], 'control', { data: control }),
        spacing: first.spacing,
      },
    }),
  };
}

async function warped(device: Device, samples: readonly Sample[], patch: Triple) {
  const { channels } = samples[0].volume;
  const source = upload(device, samples, patch, true);
  const { image, labels } = await compute(device, (rec) => {
    const out = warp(rec, source, { batch: samples.length, channels, patch });
    return { image: out.image, labels: out.labels! };
  });
  return { image, labels: new Uint32Array(labels) };
}

async function check(device: Device, name: string, samples: readonly Sample[], patch: Triple): Promise<void> {
  const { image, labels } = await warped(device, samples, patch);
  const voxels = count(patch);
  samples.forEach(({ volume, transform }, b) => {
    const expected = warpReference(volume, transform, patch);
    const part = image.subarray(b * expected.image.data.length, (b + 1) * expected.image.data.length);
    assertClose(`${name}: sample ${b}`, part, expected.image, { absolute: 2e-4 });
    let tied = 0;
    for (let v = 0; v < voxels; v++) {
      if (expected.tied[v]) tied++;
      else assert.is(labels[b * voxels + v], expected.labels[v], `${name}: label of voxel ${v} of sample ${b}`);
    }
    assert.ok(tied <= 0.03 * voxels, `${tied} of ${voxels} voxels are ties`);
  });
}

/** A rotation about all axes, scaled, with one axis mirrored; drawn from a seed. */
function tilted(seed: number, centre: Triple): WarpTransform {
  const draws = random([9], seed).data;
  return { matrix: IDENTITY.map((v, i) => (i === 0 ? -v : v) + 0.3 * draws[i]), centre };
}

function elasticOf(patch: Triple, spacing: Triple, amplitude: number, seed: number) {
  const shape = controlShape(patch, spacing);
  const control = random([...shape, 3], seed).data.map((v) => Math.fround(amplitude * v));
  return { control, shape, spacing };
}

gpuTest('identity: a crop at whole voxels comes out exactly, labels too', async (device) => {
  const source = volume([7, 9, 11], 2, 1);
  const patch: Triple = [4, 3, 5];
  const origin: Triple = [2, 5, 3];
  const centre = origin.map((o, axis) => o + (patch[axis] - 1) / 2) as unknown as Triple;
  const { image, labels } = await warped(device, [{ volume: source, transform: { matrix: IDENTITY, centre } }], patch);
  const expected = cut(source, { origin, extent: patch });
  const voxels = count(patch);
  assert.equal([...labels], expected.labels);
  assert.equal(
    [...image],
    Array.from({ length: 2 * voxels }, (_, i) => expected.image[(i % 2) * voxels + (i >> 1)]),
  );
});

gpuTest('a rotation by 90 degrees and mirrored axes are index permutations, exactly', async (device) => {
  const n = 5;
  const source = volume([n, n, n], 1, 2);
  const patch: Triple = [n, n, n];
  const centre: Triple = [2, 2, 2];
  const at = (z: number, y: number, x: number) => (z * n + y) * n + x;
  const cases: [number[], (z: number, y: number, x: number) => number][] = [
    [[1, 0, 0, 0, 0, -1, 0, 1, 0], (z, y, x) => at(z, n - 1 - x, y)],
    [[0, 0, 1, 0, 1, 0, -1, 0, 0], (z, y, x) => at(x, y, n - 1 - z)],
    [[0, -1, 0, 1, 0, 0, 0, 0, 1], (z, y, x) => at(n - 1 - y, z, x)],
    [[-1, 0, 0, 0, 1, 0, 0, 0, -1], (z, y, x) => at(n - 1 - z, y, n - 1 - x)],
  ];
  const { image, labels } = await warped(
    device,
    cases.map(([matrix]) => ({ volume: source, transform: { matrix, centre } })),
    patch,
  );
  cases.forEach(([matrix, from], b) => {
    for (let i = 0; i < n ** 3; i++) {
      const j = from(Math.floor(i / (n * n)), Math.floor(i / n) % n, i % n);
      assert.is(image[b * n ** 3 + i], source.image[j], `matrix ${matrix}, voxel ${i}`);
      assert.is(labels[b * n ** 3 + i], source.labels[j]);
    }
  });
});

for (const channels of [1, 3, 5]) {
  gpuTest(`${channels} channels, every sample its own volume and transform, equal the reference`, (device) =>
    check(
      device,
      'affine',
      [
        { volume: volume([9, 12, 10], channels, 3), transform: tilted(1, [4.2, 5.1, 4.9]) },
        { volume: volume([14, 8, 9], channels, 4), transform: tilted(2, [9.75, 3.3, 2.6]) },
        { volume: volume([6, 13, 7], channels, 5), transform: { matrix: IDENTITY, centre: [2.3, 6.4, 3.1] } },
      ],
      [6, 7, 5],
    ),
  );
}

gpuTest('a volume smaller than the patch, and one voxel thick, is continued from its edge', (device) =>
  check(
    device,
    'small volume',
    [
      { volume: volume([3, 4, 2], 1, 6), transform: tilted(3, [1, 1.5, 0.5]) },
      { volume: volume([1, 6, 5], 1, 7), transform: { matrix: IDENTITY, centre: [0.4, 2.6, 1.7] } },
    ],
    [7, 8, 9],
  ),
);

gpuTest('elastic: a cubic B-spline of the control points, only in samples that ask for it', (device) => {
  const patch: Triple = [7, 9, 11];
  const elastic = elasticOf(patch, [3, 4, 2.5], 1.5, 8);
  return check(
    device,
    'elastic',
    [
      { volume: volume([9, 12, 14], 2, 8), transform: { ...tilted(4, [4.1, 5.6, 6.3]), elastic } },
      { volume: volume([10, 11, 13], 2, 9), transform: tilted(5, [4.4, 5.2, 6.1]) },
    ],
    patch,
  );
});

gpuTest('elastic: equal control points shift the patch', async (device) => {
  const patch: Triple = [5, 6, 7];
  const shape = controlShape(patch, [2, 2, 2]);
  const shift = [1, -1, 2];
  const control = Array.from({ length: 3 * count(shape) }, (_, i) => shift[i % 3]);
  const source = volume([9, 10, 12], 1, 10);
  const centre: Triple = [4, 4.5, 5];
  const moved = centre.map((c, axis) => c + shift[axis]) as unknown as Triple;
  const transform = { matrix: IDENTITY, centre, elastic: { control, shape, spacing: [2, 2, 2] as const } };
  const a = await warped(device, [{ volume: source, transform }], patch);
  const b = await warped(device, [{ volume: source, transform: { matrix: IDENTITY, centre: moved } }], patch);
  assertClose('shift', a.image, { shape: patch, data: b.image }, { absolute: 1e-5 });
  assert.equal(a.labels, b.labels);
});

gpuTest('a box that holds all that is read gives the same bits as the whole volume', async (device) => {
  const source = volume([20, 24, 22], 2, 11);
  const patch: Triple = [6, 5, 7];
  const transform = { ...tilted(6, [9.3, 12.6, 11.2]), elastic: elasticOf(patch, [4, 4, 4], 0.5, 12) };
  const whole = await warped(device, [{ volume: source, transform }], patch);
  const box: Box = { origin: [2, 4, 3], extent: [15, 17, 17] };
  const part = await warped(device, [{ volume: source, transform, box }], patch);
  assert.equal(part.image, whole.image);
  assert.equal(part.labels, whole.labels);
  const small: Box = { origin: [8, 11, 10], extent: [3, 3, 3] };
  const cropped = await warped(device, [{ volume: source, transform, box: small }], patch);
  assert.is.not(cropped.image.join(), whole.image.join(), 'the test would see a box that is too small');
});

gpuTest('without labels nothing but the image is made; channels behind the last are zero', async (device) => {
  const patch: Triple = [3, 4, 5];
  const source = upload(device, [{ volume: volume([5, 5, 5], 3, 13), transform: tilted(7, [2, 2, 2]) }], patch, false);
  const { stored } = await compute(device, (rec) => {
    rec.constant(rec.tensor([60, 4], 'stale'), 1e30);
    const { image, labels } = warp(rec, source, { batch: 1, channels: 3, patch });
    assert.is(labels, null);
    return { stored: rec.reshape(image, [rows(image), image.pitch]) };
  });
  assert.is(stored.length, 240);
  assert.ok(stored.every((value, i) => (i % 4 === 3 ? value === 0 : Math.abs(value) <= 1)));
});

gpuTest('shapes that do not fit are refused by name', async (device) => {
  const patch: Triple = [3, 4, 5];
  const source = upload(device, [{ volume: volume([5, 5, 5], 1, 1), transform: tilted(7, [2, 2, 2]) }], patch, true);
  const record = (batch: number) =>
    compute(device, (rec) => ({ y: warp(rec, source, { batch, channels: 1, patch }).image }));
  await record(2).then(
    () => assert.unreachable('a batch of 2 from 1 row'),
    (e: Error) => assert.match(e.message, /params 'params' \[1, 32\] must begin with \[2, 32\]/),
  );
});

run();
