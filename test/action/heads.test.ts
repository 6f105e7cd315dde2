import * as assert from 'uvu/assert';
import { globalHead, localHead } from '../../engine/action/heads.ts';
import { paper, small } from '../../engine/action/options.ts';
import { createTeacher, destroyTeacher } from '../../engine/action/teacher.ts';
import type { Device } from '../../engine/device.ts';
import { UsageError } from '../../engine/errors.ts';
import { Parameters } from '../../engine/nn/parameters.ts';
import { compute } from '../../engine/program.ts';
import { Recording } from '../../engine/recording.ts';
import { assertClose } from '../compare.ts';
import { gpuTest, run, upload } from '../harness.ts';
import { type Dense, dense, random, type Triple } from '../reference/dense.ts';
import { softmax } from '../reference/softmax.ts';

/** Linear, leaky ReLU, linear on one vector. */
async function mlpOf(parameters: Parameters, name: string): Promise<(x: number[]) => number[]> {
  const values = await parameters.read();
  const layer = (index: number) => {
    const { shape, data } = values.get(`${name}.${index}.weight`) as { shape: readonly number[]; data: Float32Array };
    const bias = (values.get(`${name}.${index}.bias`) as { data: Float32Array }).data;
    return (x: number[]) =>
      Array.from({ length: shape[1] }, (_, o) => x.reduce((sum, v, i) => sum + v * data[i * shape[1] + o], bias[o]));
  };
  const [first, second] = [layer(0), layer(2)];
  return (x) => second(first(x).map((v) => (v > 0 ? v : 0.01 * v)));
}

/** Mean of each channel over the box from `start`, `size` voxels. */
function boxMean({ shape, data }: Dense, sample: number, start: number[], size: readonly number[]): number[] {
  const [, d, h, w, c] = shape;
  const mean = new Array<number>(c).fill(0);
  for (let z = 0; z < size[0]; z++)
    for (let y = 0; y < size[1]; y++)
      for (let x = 0; x < size[2]; x++)
        for (let k = 0; k < c; k++)
          mean[k] +=
            data[(((sample * d + start[0] + z) * h + start[1] + y) * w + start[2] + x) * c + k] /
            (size[0] * size[1] * size[2]);
  return mean;
}

const eachOf = (n: readonly number[], visit: (z: number, y: number, x: number) => void) => {
  for (let z = 0; z < n[0]; z++) for (let y = 0; y < n[1]; y++) for (let x = 0; x < n[2]; x++) visit(z, y, x);
};

for (const [input, pool, window, stride] of [
  ['probabilities', [2, 2, 2], [4, 4, 4], [2, 2, 2]],
  ['logits', [1, 2, 3], [2, 3, 2], [3, 1, 1]],
] as const) {
  gpuTest(`the local head on ${input} equals cutting, pooling and projecting cube by cube`, async (device) => {
    const logits = random([2, 8, 12, 9, 3], 1);
    const patch: Triple = [8, 12, 9];
    const head = localHead({ ...small.local, input, pool, window, stride }, patch, 3);
    const projector = Parameters.create(device, head.projector, { trainable: false, seed: 1 });
    const predictor = Parameters.create(device, head.predictor, { trainable: false, seed: 2 });
    const { keys, queries } = await compute(device, (rec) => {
      const x = upload(device, logits, 'logits', { grad: false });
      return { keys: head.keys(rec, projector, x), queries: head.queries(rec, projector, predictor, x) };
    });

    const values = input === 'probabilities' ? softmax(logits) : logits;
    const project = await mlpOf(projector, 'local_head');
    const predict = await mlpOf(predictor, 'local_predictor');
    const edge = window.map((n, a) => n * pool[a]);
    const step = stride.map((n, a) => n * pool[a]);
    const counts = patch.map((extent, a) => Math.floor((extent - edge[a]) / step[a]) + 1);
    const expected: { keys: number[]; queries: number[] } = { keys: [], queries: [] };
    for (let sample = 0; sample < 2; sample++) {
      eachOf(counts, (nz, ny, nx) => {
        eachOf(window, (cz, cy, cx) => {
          const at = [nz * step[0] + cz * pool[0], ny * step[1] + cy * pool[1], nx * step[2] + cx * pool[2]];
          const key = project(boxMean(values, sample, at, pool));
          expected.keys.push(...key);
          expected.queries.push(...predict(key));
        });
      });
    }
    const shape = [2, ...head.shape];
    assert.equal(head.shape, [counts[0] * counts[1] * counts[2], window[0] * window[1] * window[2] * 3]);
    assertClose('keys', keys, dense(shape, expected.keys));
    assertClose('queries', queries, dense(shape, expected.queries));
  });
}

gpuTest('the global head flattens a grid of bins, equal to pooling bin by bin', async (device) => {
  const bottleneck = random([2, 4, 6, 5, 6], 3);
  const head = globalHead({ ...small.global, bins: [2, 3, 2], hidden: 7, d: 5 }, [4, 6, 5], 6);
  const projector = Parameters.create(device, head.projector, { trainable: false, seed: 1 });
  const predictor = Parameters.create(device, head.predictor, { trainable: false, seed: 2 });
  const { keys, queries } = await compute(device, (rec) => {
    const x = upload(device, bottleneck, 'bottleneck', { grad: false });
    return { keys: head.keys(rec, projector, x), queries: head.queries(rec, projector, predictor, x) };
  });
  const project = await mlpOf(projector, 'global_head');
  const predict = await mlpOf(predictor, 'global_predictor');
  const expected = [0, 1].map((sample) => {
    const latent: number[] = [];
    eachOf([2, 3, 2], (z, y, x) => latent.push(...boxMean(bottleneck, sample, [2 * z, 2 * y, 2 * x], [2, 2, 2])));
    return project(latent);
  });
  assert.equal(head.shape, [1, 5]);
  assertClose('keys', keys, dense([2, 1, 5], expected.flat()));
  assertClose('queries', queries, dense([2, 1, 5], expected.flatMap(predict)));
});

gpuTest('published and small geometry: locations, lengths, inputs of the global head, names', async () => {
  assert.equal(localHead(paper.local, [112, 112, 80], 2).shape, [700, 128]);
  assert.equal(localHead(small.local, [32, 48, 32], 3).shape, [45, 192]);
  const inputs = (bins: typeof small.global.bins, cells: Triple) =>
    globalHead({ ...small.global, bins }, cells, 64).projector[0].shape[0];
  assert.is(inputs([2, 3, 2], [4, 6, 4]), 12 * 64);
  assert.is(inputs(1, [7, 7, 5]), 64);
  assert.is(inputs(2, [7, 7, 5]), 8 * 64);
  assert.is(inputs(3, [2, 2, 2]), 8 * 64);
  const { projector, predictor } = globalHead(small.global, [4, 6, 4], 64);
  const names = (of: string) => [0, 2].flatMap((i) => [`${of}.${i}.weight`, `${of}.${i}.bias`]);
  assert.equal(
    projector.map(({ name }) => name),
    names('global_head'),
  );
  assert.equal(
    predictor.map(({ name }) => name),
    names('global_predictor'),
  );
  assert.equal(
    predictor.map(({ shape }) => shape),
    [[128, 64], [64], [64, 128], [128]],
  );
});

gpuTest('layers are drawn like PyTorch draws them: uniform within 1 / sqrt(inputs)', async (device) => {
  const { projector } = globalHead(small.global, [4, 6, 4], 64);
  for (const [name, { data }] of await Parameters.create(device, projector).read()) {
    const bound = 1 / Math.sqrt(name.includes('.0.') ? 768 : 64);
    assert.ok(data.every((v) => Math.abs(v) <= bound) && data.some((v) => Math.abs(v) > 0.9 * bound), name);
  }
});

gpuTest('a patch smaller than a window is an error before anything is made', async () => {
  const refused = (patch: Triple, pattern: RegExp) =>
    assert.throws(
      () => localHead(small.local, patch, 3),
      (error: Error) => error instanceof UsageError && pattern.test(error.message),
    );
  refused(
    [16, 15, 16],
    /a patch of \[16, 15, 16\] is smaller than one window .* \[16, 16, 16\] voxels .* local\.weight 0/,
  );
  refused([2, 2, 2], /a patch of \[2, 2, 2\] is smaller/);
});

gpuTest('logits of another patch are an error', async (device) => {
  const head = localHead(small.local, [16, 16, 16], 3);
  const projector = Parameters.create(device, head.projector);
  const logits = device.tensor([1, 16, 24, 16, 3], 'logits');
  assert.throws(
    () => head.keys(new Recording(device, 'errors'), projector, logits),
    /patches of \[16, 16, 16\] but got \[16, 24, 16\]/,
  );
});

gpuTest('a teacher begins as its student, heads included, and takes no gradient', async (device) => {
  const make = (student: Device, seed: number) => ({
    network: Parameters.create(student, globalHead(small.global, [4, 6, 4], 8).projector, { seed }),
    projectors: Parameters.create(student, localHead(small.local, [32, 48, 32], 3).projector, { seed }),
  });
  const student = make(device, 5);
  const held = device.bytesHeld;
  const teacher = await createTeacher(student);
  for (const key of ['network', 'projectors'] as const) {
    const copy = teacher[key];
    assert.equal(await copy.read(), await student[key].read());
    assert.ok(copy.leaves().every((t) => !t.requiresGrad && !t.grad));
  }
  destroyTeacher(teacher);
  assert.is(device.bytesHeld, held);
});

run();
