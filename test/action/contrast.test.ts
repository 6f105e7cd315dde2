/** L_anco against PyTorch (test/fixtures/torch/action_stage2.py), by hand, and in the cases where nothing can be contrasted. */
import * as assert from 'uvu/assert';
import {
  anatomicalContrast,
  CONTRAST_STREAMS,
  type ContrastOptions,
  classRelation,
  drawContrast,
} from '../../engine/action/contrast.ts';
import { confidentShare, unsupervisedLoss } from '../../engine/action/pseudo.ts';
import { type HeadOptions, representationHead } from '../../engine/action/representation.ts';
import { indexVoxels, voxelCodes } from '../../engine/action/sampling.ts';
import type { Device } from '../../engine/device.ts';
import { Parameters } from '../../engine/nn/parameters.ts';
import { infoNce } from '../../engine/ops/info_nce.ts';
import { compute } from '../../engine/program.ts';
import { createStepCounters } from '../../engine/step_counters.ts';
import { assertClose } from '../compare.ts';
import { readFixture } from '../fixtures/torch/fixture.ts';
import { gpuTest, run, upload } from '../harness.ts';
import { uploadLabels } from '../ops/labels.ts';
import { type Dense, random, type Triple } from '../reference/dense.ts';

const { tensors, metadata } = readFixture('action_stage2');
const get = (name: string): Dense => {
  const found = tensors.get(name);
  assert.ok(found, `the fixture has no '${name}'`);
  return found as Dense;
};
const SIZE: Triple = [4, 6, 4];
const CLASSES = 3;
const CASES = ['paper', 'per_query', 'dense_sampled', 'reference', 'any_per_class', 'absent_class', 'easy_class'];

interface Case extends HeadOptions, ContrastOptions {
  step: number;
  labels: 'all' | 'no 1' | '2 easy';
  strongConfidence: number;
  weakConfidence: number;
}

/** The inputs of a case: four samples, of which two have ground truth. */
function inputsOf({ labels: which }: Pick<Case, 'labels'>) {
  const logits = { ...get('unsup/logits'), data: get('unsup/logits').data.slice() };
  const labels = get('unsup/labels').data.map((label) => (which === 'no 1' && label === 1 ? -1 : label));
  labels.forEach((label, i) => {
    if (which === '2 easy' && label === 2) logits.data.set([0, 0, 9], i * CLASSES);
  });
  return { logits, labels, confidence: get('unsup/confidence').data };
}

interface Given {
  levels: Dense[];
  logits: Dense;
  labels: ArrayLike<number>;
  confidence: ArrayLike<number>;
}

/** Loss and every gradient of L_anco, one pass over all samples or two over a half each. */
async function contrast(device: Device, o: Case, given: Given, weights: (name: string) => Dense, passes: 1 | 2 = 1) {
  const [samples] = given.logits.shape;
  const each = samples / passes;
  const head = representationHead(
    given.levels.map((x) => x.shape[4]),
    SIZE,
    o,
  );
  const parameters = Parameters.create(device, head.specs);
  parameters.load(
    new Map(head.specs.map(({ name, shape }) => [name, { shape, data: Float32Array.from(weights(name).data) }])),
  );
  const counters = createStepCounters(device, Number(metadata.seed), o.step);
  /** Samples of a pass. */
  const part = (values: ArrayLike<number>, shape: readonly number[], k: number): Dense => {
    const length = (values.length / samples) * each;
    return { shape: [each, ...shape], data: Float64Array.from(values).slice(k * length, (k + 1) * length) };
  };
  const all = Array.from({ length: passes }, (_, k) => ({
    levels: given.levels.map((x, level) => {
      const value = part(x.data, x.shape.slice(1), k);
      return { ...upload(device, value, `level${level}`), grad: device.tensor(value.shape, `dlevel${level}`) };
    }),
    logits: upload(device, part(given.logits.data, given.logits.shape.slice(1), k), 'logits'),
    labels: uploadLabels(device, [each, ...SIZE], part(given.labels, SIZE, k).data),
    confidence: upload(device, part(given.confidence, SIZE, k), 'confidence', { grad: false, dense: true }),
  }));
  const leaves = all.flatMap(({ levels }) => levels);
  const { loss } = await compute(device, (rec) => {
    const codes = voxelCodes(rec, all, { weak: o.weakConfidence, strong: o.strongConfidence });
    const index = indexVoxels(rec, codes, given.logits.shape[4]);
    const draws = drawContrast(rec, counters.tensor, JSON.parse(metadata.streams).contrast, index.classes, o);
    const levels = given.levels.map((_, level) => all.map((pass) => pass.levels[level]));
    const loss = anatomicalContrast(rec, head, parameters, levels, index, draws, o);
    rec.backward(loss, { leaves: [...leaves, ...parameters.leaves()] });
    return { loss };
  });
  const gradients = new Map<string, Float32Array>();
  for (let level = 0; level < given.levels.length; level++) {
    const halves: number[] = [];
    for (const pass of all) halves.push(...((await device.read(pass.levels[level].grad)) as Float32Array));
    gradients.set(`level${level}`, Float32Array.from(halves));
  }
  for (const [name, { data }] of await parameters.read(parameters.flatGrad)) gradients.set(name, data);
  return { loss: loss[0], gradients };
}

const levels = [get('contrast/level0'), get('contrast/level1')];
for (const name of CASES) {
  const o: Case = JSON.parse(metadata[name]);
  for (const passes of [1, 2] as const) {
    gpuTest(
      `${name}: loss and every gradient equal PyTorch's${passes === 2 ? ' from two passes' : ''}`,
      async (device) => {
        const found = await contrast(device, o, { levels, ...inputsOf(o) }, (key) => get(`${name}/${key}`), passes);
        const loss = get(`${name}/loss`).data[0];
        assert.ok(loss > 1 && Math.abs(found.loss / loss - 1) < 1e-5, `${found.loss}, PyTorch ${loss}`);
        for (const [key, value] of found.gradients) {
          const expected = get(`${name}/d${key}`);
          assert.ok(
            expected.data.some((v) => Math.abs(v) > 1e-4),
            `d${key} is not all zero`,
          );
          assertClose(`d${key}`, value, expected, { absolute: 1e-6, terms: 256 });
        }
      },
    );
  }

  gpuTest(`${name}: classes take their negatives as PyTorch's do`, async (device) => {
    const prototypes = upload(device, get(`${name}/prototypes`), 'prototypes', { grad: false });
    const { logits, labels, confidence } = inputsOf(o);
    const { cdf, weights } = await compute(device, (rec) => {
      const pass = {
        logits: upload(device, logits, 'logits'),
        labels: uploadLabels(device, [4, ...SIZE], labels),
        confidence: device.tensor([4, ...SIZE], 'confidence', { dense: true, data: confidence }),
      };
      const codes = voxelCodes(rec, [pass], { weak: o.weakConfidence, strong: o.strongConfidence });
      return classRelation(rec, prototypes, indexVoxels(rec, codes, CLASSES), o);
    });
    const shares = cdf.map((upto, i) => upto - (i % CLASSES ? cdf[i - 1] : 0));
    assertClose('shares', shares, get(`${name}/shares`), { absolute: 1e-6 });
    const present = o.labels === 'no 1' ? 2 : 3;
    const each = Math.fround(1 / (present * o.queries));
    const expected = [each, o.labels === 'no 1' ? 0 : each, o.labels === '2 easy' ? 0 : each];
    assert.equal([...weights], expected);
  });
}

gpuTest("the unsupervised loss and its gradient equal PyTorch's", async (device) => {
  const expected = get('unsup/dlogits');
  const x = { ...upload(device, get('unsup/logits'), 'logits'), grad: device.tensor(expected.shape, 'dlogits') };
  const labels = uploadLabels(device, [4, ...SIZE], get('unsup/labels').data);
  const confidence = upload(device, get('unsup/confidence'), 'confidence', { grad: false, dense: true });
  const { loss } = await compute(device, (rec) => {
    const { weights } = confidentShare(rec, { labels, confidence }, CLASSES, 0.75);
    const loss = unsupervisedLoss(rec, x, { labels, weights }, false);
    rec.backward(loss, { leaves: [x] });
    return { loss };
  });
  assert.ok(Math.abs(loss[0] / get('unsup/loss').data[0] - 1) < 1e-5);
  assertClose('dlogits', await device.read(x.grad), expected, { absolute: 1e-8, terms: 16 });
});

gpuTest(
  'nothing to contrast: one class, every voxel easy, every voxel unsure; loss and gradients are zero',
  async (device) => {
    for (const name of ['paper', 'reference', 'per_query']) {
      const o: Case = JSON.parse(metadata[name]);
      const { logits, labels, confidence } = inputsOf(o);
      const weights = (key: string) => get(`${name}/${key}`);
      const easy = {
        ...logits,
        data: logits.data.map((_, i) => (i % CLASSES === labels[Math.floor(i / CLASSES)] ? 30 : 0)),
      };
      for (const [what, given] of Object.entries({
        'one class': { logits, labels: labels.map(() => 1), confidence },
        easy: { logits: easy, labels, confidence },
        unsure: { logits, labels, confidence: confidence.map(() => 0) },
        'no label': { logits, labels: labels.map(() => -1), confidence },
      })) {
        const found = await contrast(device, o, { levels, ...given }, weights);
        assert.is(found.loss, 0, `${name}, ${what}: ${found.loss}`);
        for (const [key, value] of found.gradients)
          assert.ok(
            value.every((v) => v === 0),
            `${name}, ${what}: d${key}`,
          );
      }
    }
  },
);

gpuTest('a hand-worked InfoNCE, and its direction by asymmetry', async (device) => {
  // Two classes, one query each, two negatives each, tau 1: q0 = mu0, negatives along and against; q1 orthogonal to everything.
  const t = (shape: number[], data: number[], options = {}) => device.tensor(shape, 't', { data, ...options });
  const queries = { ...t([2, 4], [1, 0, 0, 0, 0, 0, 1, 0]), requiresGrad: true, grad: device.tensor([2, 4], 'dq') };
  const prototypes = t([2, 4], [1, 0, 0, 0, 0, 1, 0, 0]);
  const keys = t([4, 4], [1, 0, 0, 0, -1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1]);
  const weights = t([2], [0.5, 0.25], { dense: true });
  const { loss } = await compute(device, (rec) => {
    const loss = infoNce(rec, queries, prototypes, weights, 2, 1, { plan: 'shared', keys });
    rec.backward(loss, { leaves: [queries] });
    return { loss };
  });
  const { E } = Math;
  const first = Math.log((2 * E + 1 / E) / E);
  assert.ok(Math.abs(loss[0] - (0.5 * first + 0.25 * Math.log(3))) < 1e-6);
  const z = 2 * E + 1 / E;
  // 0.5 (p+ mu + p1 k1 + p2 k2 - mu) along the first axis; 0.25 ((1/3 - 1) mu1 + k3 / 3 + k4 / 3).
  const along = 0.5 * ((2 * E - 1 / E) / z - 1);
  const expected = { shape: [2, 4], data: [along, 0, 0, 0, 0, 0.25 * (1 / 3 + 1 / 3 - 1), 0, 0.25 / 3] };
  assertClose('dq', await device.read(queries.grad), expected, { absolute: 1e-6 });
});

gpuTest('keys shared by a class, through matrix products, equal the same keys named one by one', async (device) => {
  // Rows of 16 numbers, 8 queries and 13 keys a class: products of views would start off their alignment, with 16 keys not.
  for (const [perClass, negatives] of [
    [8, 13],
    [8, 16],
    [64, 36],
    [256, 512],
  ]) {
    const unit = (count: number, seed: number): Dense => {
      const x = random([count, 16], seed);
      for (let row = 0; row < count; row++) {
        const length = Math.hypot(...x.data.subarray(16 * row, 16 * row + 16));
        for (let k = 0; k < 16; k++) x.data[16 * row + k] /= length;
      }
      return x;
    };
    const [queries, keys] = [unit(2 * perClass, 1), unit(2 * negatives, 2)];
    const values: Float32Array[] = [];
    for (const plan of ['shared', 'indexed'] as const) {
      const q = { ...upload(device, queries, 'queries'), grad: device.tensor(queries.shape, 'dqueries') };
      const named = Array.from({ length: 2 * perClass * negatives }, (_, i) => {
        const [query, j] = [Math.floor(i / negatives), i % negatives];
        return Math.floor(query / perClass) * negatives + j;
      });
      const index = device.tensor([named.length], 'index', { dtype: 'u32', dense: true, data: named });
      const k = upload(device, keys, 'keys', { grad: false });
      const weights = device.tensor([2], 'weights', { dense: true, data: [0.5, 2] });
      const { loss } = await compute(device, (rec) => {
        const prototypes = upload(device, unit(2, 3), 'prototypes', { grad: false });
        const choice = plan === 'shared' ? ({ plan, keys: k } as const) : ({ plan, keys: k, index } as const);
        const loss = infoNce(rec, q, prototypes, weights, negatives, 0.3, choice);
        rec.backward(loss, { leaves: [q] });
        return { loss };
      });
      values.push(loss, (await device.read(q.grad)) as Float32Array);
    }
    const [loss, slope, expectedLoss, expectedSlope] = values;
    assert.ok(loss[0] > 1 && Math.abs(loss[0] / expectedLoss[0] - 1) < 1e-6, `${loss[0]}, ${expectedLoss[0]}`);
    assert.ok(expectedSlope.some((v) => Math.abs(v) > 0.01));
    assertClose('dqueries', slope, { shape: queries.shape, data: expectedSlope }, { absolute: 1e-6, terms: negatives });
  }
});

gpuTest('keys and prototypes pass no gradient on: features away from the queries get none', async (device) => {
  // Hard queries of class 0 only, and only in sample 0; keys and prototypes come from everywhere.
  const o: Case = { ...JSON.parse(metadata.paper), alignCorners: true, strongConfidence: 0.9, weakConfidence: 0 };
  const logits = random([2, ...SIZE, 2], 3);
  const labels = Array.from({ length: 2 * 96 }, (_, i) => (i % 5 === 0 ? 1 : 0));
  logits.data.forEach((_, i) => {
    const voxel = i >> 1;
    const hardHere = voxel === 50;
    logits.data[i] = i % 2 === labels[voxel] && !hardHere ? 20 : 0;
  });
  const given = {
    levels: [random([2, ...SIZE, 4], 5), random([2, 2, 3, 2, 8], 6)],
    ...{ logits, labels, confidence: new Float64Array(192).fill(1) },
  };
  const { loss, gradients } = await contrast(device, o, given, (key) => get(`paper/${key}`));
  assert.ok(loss > 0);
  const fine = gradients.get('level0') as Float32Array;
  const [z, y, x] = [2, 0, 2]; // voxel 50 of [4, 6, 4]
  const touched = new Set<number>();
  for (let i = 0; i < fine.length; i++) if (fine[i] !== 0) touched.add(i >> 2);
  for (const voxel of touched) {
    const at = [Math.floor(voxel / 24), Math.floor(voxel / 4) % 6, voxel % 4];
    assert.ok(
      voxel < 96 && Math.abs(at[0] - z) <= 1 && Math.abs(at[1] - y) <= 1 && Math.abs(at[2] - x) <= 1,
      `voxel ${voxel}`,
    );
  }
  assert.is(touched.size, 3 * 2 * 3);
});

gpuTest('every draw of a contrast has a stream of its own', async (device) => {
  const o: Case = JSON.parse(metadata.reference);
  const counters = createStepCounters(device, 1);
  const found = await compute(device, (rec) => ({ ...drawContrast(rec, counters.tensor, 7, CLASSES, o) }));
  const starts = Object.values(found).map((words) => (words as unknown as Uint32Array)[0]);
  assert.is(new Set(starts).size, CONTRAST_STREAMS);
  const shapes = Object.values(found).map(({ length }) => length);
  assert.equal(shapes, [CLASSES * o.queries, CLASSES * o.negatives, CLASSES * o.queries * o.negatives * 2]);
});

run();
