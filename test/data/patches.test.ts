import * as assert from 'uvu/assert';
import { Device } from '../../engine/device.ts';
import { dryGpu } from '../../engine/dry_gpu.ts';
import { DataError, FitError } from '../../engine/errors.ts';
import { WARP_PARAMS, type WarpSource, warp } from '../../engine/ops/warp.ts';
import { compute, Program } from '../../engine/program.ts';
import { Recording } from '../../engine/recording.ts';
import { product, type Triple } from '../../engine/shape.ts';
import { largestReach, type SpatialAugmentation } from '../../runner/data/augment.ts';
import { HOST_STREAMS } from '../../runner/data/augment_streams.ts';
import { type PatchOptions, PatchStream } from '../../runner/data/patches.ts';
import { largestBox, sourceBox } from '../../runner/data/patches_box.ts';
import type { Prepared } from '../../runner/data/preprocess.ts';
import { trainConfig } from '../../runner/train/config.ts';
import { assertClose } from '../compare.ts';
import { LIMITS } from '../dry_limits.ts';
import { gpuTest, run } from '../harness.ts';
import { random } from '../reference/dense.ts';
import { warp as warpReference } from '../reference/warp.ts';
import { assertUniform, histogram } from './chi_squared.ts';

const USUAL = trainConfig({}).augmentation;
const EVERYTHING: SpatialAugmentation = {
  probability: 0.8,
  rotation: [12, 30, 45],
  scale: 0.3,
  flip: [true, true, true],
  elastic: { probability: 0.7, spacing: [4, 5, 6], amplitude: 1 },
};
const OPTIONS: PatchOptions = {
  patch: [6, 7, 5],
  batch: 2,
  seed: 9,
  stream: HOST_STREAMS.labelledPatches,
  augmentation: USUAL,
  labelled: true,
};

function prepared(shape: Triple, seed: number, options: { channels?: number; spacing?: Triple } = {}): Prepared {
  const { channels = 1, spacing = [1, 1, 1] } = options;
  const label = Uint8Array.from(random(shape, seed + 500).data, (v) => (v < 0.8 ? 0 : v < 0.99 ? 1 : 2));
  const image = Float32Array.from(random([channels, ...shape], seed).data);
  return { id: `case_${seed}`, channels, shape, image, label, spacing, constantChannels: [] };
}

async function cut(device: Device, source: WarpSource, { batch, channels, patch }: PatchStream['geometry']) {
  const { image, labels } = await compute(device, (rec) => {
    const out = warp(rec, source, { batch, channels, patch });
    return { image: out.image, labels: out.labels! };
  });
  return { image, labels: new Uint32Array(labels) };
}

/** Voxels of 41 x 30 x 33, 9 x 25 x 60 and, no multiple of four, 3 x 5 x 5, in two channels. */
const VARIED = [
  prepared([30, 41, 33], 1, { channels: 2 }),
  prepared([25, 9, 60], 2, { channels: 2, spacing: [2, 1, 0.5] }),
  prepared([3, 5, 5], 3, { channels: 2 }),
];

/** Bytes of a volume in two channels, float32, with a class a voxel in whole words. */
const bytesOf = ({ shape }: Prepared) => Math.ceil(product(shape) / 4) * 4 * (2 * 4 + 1);

const ROOM: Record<string, { volumeBytes: number; whole: readonly number[] }> = {
  'all volumes': { volumeBytes: Infinity, whole: [0, 1, 2] },
  'just all volumes': { volumeBytes: VARIED.reduce((sum, item) => sum + bytesOf(item), 0), whole: [0, 1, 2] },
  'the first and the last': { volumeBytes: bytesOf(VARIED[0]) + bytesOf(VARIED[2]), whole: [0, 2] },
  'all but the first': { volumeBytes: bytesOf(VARIED[0]) - 1, whole: [1, 2] },
};

for (const [name, { volumeBytes, whole }] of Object.entries(ROOM)) {
  gpuTest(`boxes of volumes give the same bits as whole volumes on the device: room for ${name}`, async (device) => {
    const options = { ...OPTIONS, batch: 3, augmentation: EVERYTHING };
    const boxes = new PatchStream(device, VARIED, options);
    const volumes = new PatchStream(device, VARIED, { ...options, volumeBytes });
    assert.is(boxes.volumeBytes, 0);
    assert.is(
      volumes.volumeBytes,
      whole.reduce((sum, i) => sum + bytesOf(VARIED[i]), 0),
    );
    let smaller = 0;
    for (let step = 0; step < 6; step++) {
      for (const draw of boxes.upload(step)) {
        const { shape } = VARIED[draw.case];
        if (product(sourceBox(draw, draw.centre, OPTIONS.patch, shape).extent) < 0.5 * product(shape)) smaller++;
      }
      volumes.upload(step);
      const expected = await cut(device, boxes.source, boxes.geometry);
      const found = await cut(device, volumes.source, volumes.geometry);
      assert.ok(found.image.join() === expected.image.join(), `images of step ${step} differ`);
      assert.ok(found.labels.join() === expected.labels.join(), `labels of step ${step} differ`);
    }
    assert.ok(smaller >= 3, `only ${smaller} boxes were much smaller than their volumes`);
    boxes.destroy();
    volumes.destroy();
    assert.is(device.bytesHeld, 0);
  });
}

/** Bytes that go to the device while something is done. */
function uploaded(device: Device, action: () => void): number {
  const { queue } = device.gpu;
  const write = queue.writeBuffer;
  let bytes = 0;
  queue.writeBuffer = (buffer, offset, data) => {
    bytes += data.byteLength;
    write.call(queue, buffer, offset, data as ArrayBuffer);
  };
  action();
  queue.writeBuffer = write;
  return bytes;
}

gpuTest('a step uploads where its patches are, and voxels only of volumes that are not there', async (device) => {
  const options = { ...OPTIONS, augmentation: { ...EVERYTHING, elastic: null } };
  const params = 4 * OPTIONS.batch * WARP_PARAMS;
  const all = new PatchStream(device, VARIED, { ...options, volumeBytes: Infinity });
  const boxes = new PatchStream(device, VARIED, options);
  const some = new PatchStream(device, VARIED, { ...options, volumeBytes: bytesOf(VARIED[0]) });
  for (let step = 0; step < 6; step++) {
    assert.is(
      uploaded(device, () => all.upload(step)),
      params,
    );
    const without = uploaded(device, () => boxes.upload(step));
    const [first] = boxes.draw(step).filter((draw) => draw.case === 0);
    const spared = first ? product(sourceBox(first, first.centre, OPTIONS.patch, VARIED[0].shape).extent) : 0;
    assert.ok(without > params);
    const found = uploaded(device, () => some.upload(step));
    assert.is(found, without - 8 * spared - 4 * Math.ceil(spared / 4));
  }
});

gpuTest('a volume beyond the buffers of the adapter is cut up, the others are not', async (device) => {
  const dry = new Device(dryGpu({ ...LIMITS, maxStorageBufferBindingSize: 2 ** 20 }), device);
  const cases = [prepared([64, 64, 80], 1), prepared([40, 40, 40], 2), prepared([40, 40, 30], 3)];
  const stream = new PatchStream(dry, cases, { ...OPTIONS, volumeBytes: Infinity });
  assert.is(stream.volumeBytes, 5 * (40 ** 3 + 40 * 40 * 30));
  assert.ok(stream.source.image.storage.bytes <= 2 ** 20);
});

gpuTest(
  'volumes that fit the buffers just so are whole, though their labels would not fit beside them',
  async (device) => {
    const dry = new Device(dryGpu({ ...LIMITS, maxStorageBufferBindingSize: 2 ** 20 }), device);
    const cases = [1, 2, 3, 4].map((seed) => prepared([32, 32, 60], seed));
    const stream = new PatchStream(dry, cases, { ...OPTIONS, patch: [28, 28, 28], volumeBytes: Infinity });
    assert.is(stream.source.image.storage.bytes, 4 * 4 * 32 * 32 * 60);
    assert.is(stream.volumeBytes, 4 * 5 * 32 * 32 * 60);
  },
);

gpuTest('images that have changed are uploaded again', async (device) => {
  const item = prepared([12, 13, 14], 6);
  const stream = new PatchStream(device, [item], { ...OPTIONS, batch: 1, volumeBytes: Infinity });
  stream.upload(0);
  const before = await cut(device, stream.source, stream.geometry);
  item.image.forEach((value, i) => {
    item.image[i] = 2 * value;
  });
  stream.uploadVolumes();
  const after = await cut(device, stream.source, stream.geometry);
  assert.equal(
    after.image,
    before.image.map((value) => 2 * value),
  );
});

gpuTest('patches equal the float64 loops over whole volumes, also where the volume is smaller', async (device) => {
  const cases = [prepared([4, 20, 5], 4), prepared([19, 6, 16], 5)];
  const stream = new PatchStream(device, cases, { ...OPTIONS, foregroundProbability: 0.5 });
  for (let step = 0; step < 4; step++) {
    const draws = stream.upload(step);
    const { image, labels } = await cut(device, stream.source, stream.geometry);
    const voxels = product(OPTIONS.patch);
    draws.forEach((draw, b) => {
      const { shape, image: values, label } = cases[draw.case];
      const volume = { shape, channels: 1, image: values, labels: label! };
      const expected = warpReference(volume, draw, OPTIONS.patch);
      const part = image.subarray(b * voxels, (b + 1) * voxels);
      assertClose(`step ${step}`, part, expected.image, { absolute: 2e-4 });
      const wrong = expected.tied.filter((tied, v) => !tied && labels[b * voxels + v] !== expected.labels[v]);
      assert.is(wrong.length, 0);
    });
  }
});

gpuTest('a recorded program sees each upload: replay equals a fresh run', async (device) => {
  const cases = [prepared([12, 13, 14], 6), prepared([15, 10, 9], 7)];
  const stream = new PatchStream(device, cases, OPTIONS);
  const rec = new Recording(device, 'patches');
  const { image } = warp(rec, stream.source, stream.geometry);
  rec.keep(image);
  const program = await Program.create(rec);
  const results: string[] = [];
  for (const step of [3, 4, 3]) {
    stream.upload(step);
    program.run();
    const replayed = await program.read(image);
    results.push(replayed.join());
    const fresh = await cut(device, stream.source, stream.geometry);
    assert.ok(results.at(-1) === fresh.image.join(), `replay of step ${step} differs`);
  }
  assert.ok(results[0] === results[2] && results[0] !== results[1]);
  const held = device.bytesHeld;
  stream.destroy();
  assert.ok(device.bytesHeld < held);
});

gpuTest('draws depend on seed, stream, step and sample, and on nothing drawn before', async (device) => {
  const cases = [8, 9, 10].map((seed) => prepared([12, 13, 14], seed));
  const make = (change: Partial<PatchOptions> = {}) =>
    new PatchStream(device, cases, { ...OPTIONS, augmentation: EVERYTHING, ...change });
  const first = make();
  for (let step = 0; step < 20; step++) first.draw(step);
  assert.equal(first.draw(17), make().draw(17));
  assert.equal(first.upload(17), make().draw(17));
  const keys = [
    first.draw(17),
    first.draw(18),
    make({ seed: 10 }).draw(17),
    make({ stream: HOST_STREAMS.unlabelledPatches }).draw(17),
  ].flat();
  assert.is(new Set(keys.map(({ centre }) => centre.join())).size, 8);
});

gpuTest('cases are equally likely and differ within a batch while there are enough', async (device) => {
  const cases = [1, 2, 3, 4, 5].map((seed) => prepared([2, 2, 2], seed));
  const pair = new PatchStream(device, cases, OPTIONS);
  const first = new Array<number>(5).fill(0);
  const pairs = new Array<number>(20).fill(0);
  for (let step = 0; step < 4000; step++) {
    const [{ case: a }, { case: b }] = pair.draw(step);
    assert.is.not(a, b);
    first[a]++;
    pairs[4 * a + (b > a ? b - 1 : b)]++;
  }
  assertUniform('first case', first);
  assertUniform('ordered pair of cases', pairs);
  const seven = new PatchStream(device, cases, { ...OPTIONS, batch: 7 });
  const drawn = seven.draw(0).map((draw) => draw.case);
  assert.is(new Set(drawn.slice(0, 5)).size, 5);
  assert.is(new Set(drawn.slice(5)).size, 2);
});

gpuTest('centres, angles, sizes and mirrored axes are distributed as stated', async (device) => {
  const patch: Triple = [6, 7, 5];
  const shape: Triple = [16, 4, 5];
  const augmentation = { ...USUAL, rotation: [20, 0, 0], flip: [true, false, true] } as const;
  const stream = new PatchStream(device, [prepared(shape, 1)], { ...OPTIONS, patch, batch: 1, augmentation });
  const draws = Array.from({ length: 4000 }, (_, step) => stream.draw(step)[0]);
  [12, 2, 2].forEach((span, axis) => {
    const middle = (shape[axis] - 1) / 2;
    const centres = draws.map(({ centre }) => centre[axis]);
    assertUniform(`centre ${axis}`, histogram(centres, middle - span / 2, middle + span / 2, 12));
  });
  const size = ({ matrix: m }: { matrix: readonly number[] }) => Math.hypot(m[0], m[3], m[6]);
  const turned = draws.filter((draw) => size(draw) !== 1);
  const share = turned.length / draws.length;
  assert.ok(Math.abs(share - 0.8) < 4 * Math.sqrt((0.8 * 0.2) / draws.length), `${share} of the patches are turned`);
  assertUniform('size', histogram(turned.map(size), 0.85, 1.15, 10));
  const angle = ({ matrix: m }: { matrix: readonly number[] }) => (Math.atan2(m[7], m[4]) * 180) / Math.PI;
  assertUniform('angle', histogram(turned.map(angle), -20, 20, 10));
  for (const [axis, entry] of [
    [0, 0],
    [2, 8],
  ]) {
    const mirrored = draws.filter(({ matrix }) => matrix[entry] < 0).length;
    assertUniform(`mirrored axis ${axis}`, [mirrored, draws.length - mirrored]);
  }
  assert.ok(draws.every(({ matrix }) => matrix[4] > 0));
});

gpuTest('rotation is rigid in millimetres whatever the spacing', async (device) => {
  const spacing: Triple = [5, 0.7, 1.1];
  const stream = new PatchStream(device, [prepared([9, 30, 30], 1, { spacing })], { ...OPTIONS, batch: 1 });
  let turned = 0;
  for (let step = 0; step < 40; step++) {
    const [{ matrix }] = stream.draw(step);
    const mm = matrix.map((v, i) => (v * spacing[Math.floor(i / 3)]) / spacing[i % 3]);
    const column = (j: number) => [mm[j], mm[3 + j], mm[6 + j]];
    const dot = (a: number[], b: number[]) => a.reduce((sum, v, i) => sum + v * b[i], 0);
    const scale = dot(column(0), column(0));
    assert.ok(scale > 0.84 ** 2 && scale < 1.16 ** 2);
    for (let i = 0; i < 3; i++)
      for (let j = 0; j < 3; j++)
        assert.ok(Math.abs(dot(column(i), column(j)) - (i === j ? scale : 0)) < 1e-12, `columns ${i} and ${j}`);
    if (Math.abs(mm[1]) > 0.01) turned++;
  }
  assert.ok(turned > 20);
});

gpuTest('foreground centres: classes in equal parts, each voxel of a class as likely as the next', async (device) => {
  const shape: Triple = [20, 20, 20];
  const label = new Uint8Array(8000);
  const rare = [4210, 4611, 3790];
  for (let i = 4000; i < 4100; i++) label[i] = 3;
  for (const i of rare) label[i] = 7;
  const item: Prepared = { ...prepared(shape, 1), label };
  const options = { ...OPTIONS, batch: 1, foregroundProbability: 0.6 };
  const stream = new PatchStream(device, [item], options);
  const classes = [0, 0];
  const which = [0, 0, 0];
  let random = 0;
  for (let step = 0; step < 3000; step++) {
    const [{ centre }] = stream.draw(step);
    if (centre.some((v) => !Number.isInteger(v))) {
      random++;
      continue;
    }
    const voxel = (centre[0] * 20 + centre[1]) * 20 + centre[2];
    // Voxels of class 3 too near the edge for a patch are moved inside, onto others of class 3.
    const value = label[voxel];
    assert.ok(value === 3 || value === 7);
    classes[value === 3 ? 0 : 1]++;
    if (value === 7) which[rare.indexOf(voxel)]++;
  }
  const share = random / 3000;
  assert.ok(Math.abs(share - 0.4) < 4 * Math.sqrt(0.24 / 3000), `${share} of the centres are anywhere`);
  assertUniform('class', classes);
  assertUniform('voxel', which);
});

gpuTest('unlabelled streams touch no label', async (device) => {
  const item = prepared([9, 9, 9], 1);
  const trap = Object.defineProperty({ ...item }, 'label', {
    get: () => assert.unreachable('a label was read'),
  }) as Prepared;
  const stream = new PatchStream(device, [trap], { ...OPTIONS, batch: 3, labelled: false });
  stream.upload(0);
  assert.is(stream.source.labels, null);
  assert.is(stream.draw(0).length, 3);
});

gpuTest('no draw asks for a larger box than there is room for', async (device) => {
  const patch: Triple = [12, 20, 16];
  for (const spacing of [
    [1, 1, 1],
    [6, 1, 1],
    [0.5, 3, 1],
  ] as const) {
    const shape: Triple = [40, 90, 70];
    const wild: SpatialAugmentation = { ...EVERYTHING, probability: 1, rotation: [180, 20, 90] };
    for (const augmentation of [USUAL, EVERYTHING, wild]) {
      const room = largestBox(largestReach(augmentation, patch, spacing), shape);
      const stream = new PatchStream(device, [prepared(shape, 1, { spacing })], {
        ...OPTIONS,
        patch,
        batch: 1,
        augmentation,
      });
      let largest = 0;
      for (let step = 0; step < 300; step++) {
        const [draw] = stream.draw(step);
        largest = Math.max(largest, product(sourceBox(draw, draw.centre, patch, shape).extent));
      }
      assert.ok(largest <= room && largest > 0.1 * room, `${largest} of ${room} for spacing ${spacing}`);
      stream.destroy();
    }
  }
});

gpuTest('cases that cannot be used are refused', async (device) => {
  const refuse = (cases: Prepared[], message: RegExp) =>
    assert.throws(
      () => new PatchStream(device, cases, OPTIONS),
      (e: Error) => e instanceof DataError && message.test(e.message),
    );
  refuse([], /no labelled case/);
  refuse(
    [prepared([3, 3, 3], 1), prepared([3, 3, 3], 2, { channels: 2 })],
    /case_2 has 2 channels but case case_1 has 1/,
  );
  refuse([{ ...prepared([3, 3, 3], 3), label: null }], /case_3 has no label/);
  const vast: Prepared = { ...prepared([1, 1, 1], 4), shape: [2000, 2000, 2000] };
  assert.throws(
    () => new PatchStream(device, [vast], { ...OPTIONS, patch: [1600, 1600, 1600] }),
    (e: Error) => e instanceof FitError && /'patch source' needs \d+ bytes .* smaller patch/.test(e.message),
  );
});

run();
