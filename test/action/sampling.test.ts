import * as assert from 'uvu/assert';
import { drawClasses, indexVoxels, sampleVoxels, voxelCodes } from '../../engine/action/sampling.ts';
import type { Device } from '../../engine/device.ts';
import { compute } from '../../engine/program.ts';
import { assertUniform } from '../data/chi_squared.ts';
import { gpuTest, run, upload } from '../harness.ts';
import { randomLabels, uploadLabels } from '../ops/labels.ts';
import { type Dense, random } from '../reference/dense.ts';
import * as mixing from '../reference/mix.ts';
import * as reference from '../reference/sampling.ts';

const u32 = (device: Device, data: ArrayLike<number>) =>
  device.tensor([data.length], 'u32', { dtype: 'u32', dense: true, data });
const asWords = (values: Float32Array) => values as unknown as Uint32Array;

/** Logits whose softmax keeps clear of `strong`, so that float32 and float64 agree on what is hard. */
function clearLogits(shape: number[], seed: number, strong: number): Dense {
  const logits = random(shape, seed);
  const classes = shape[shape.length - 1];
  for (let row = 0; row < logits.data.length; row += classes) {
    for (let c = 0; c < classes; c++) logits.data[row + c] = Math.fround(3 * logits.data[row + c]);
    const exps = Array.from({ length: classes }, (_, c) => Math.exp(logits.data[row + c]));
    const sum = exps.reduce((a, b) => a + b);
    if (exps.some((e) => Math.abs(e / sum - strong) < 1e-4)) for (let c = 0; c < classes; c++) logits.data[row + c] = 0;
  }
  return logits;
}

for (const [classes, size, batches] of [
  [3, [5, 7, 9], [2, 2]],
  [2, [40, 60, 61], [1, 1]],
  [14, [6, 5, 4], [3, 1]],
] as [number, number[], number[]][]) {
  gpuTest(`codes, counts and draws of ${classes} classes in [${size}] equal the reference`, async (device) => {
    const thresholds = { weak: 0.25, strong: 0.6 };
    const shape = (b: number) => [b, ...size];
    const voxels = size.reduce((a, b) => a * b);
    const passes = batches.map((b, k) => ({
      logits: clearLogits([...shape(b), classes], 10 + k, thresholds.strong),
      labels: randomLabels(b * voxels, classes, 20 + k),
      confidence: k === 1 ? random([b * voxels], 30).data : undefined,
    }));
    const codes = reference.voxelCodes(passes, thresholds);
    const perClass = 50;
    const draws = classes * perClass;
    const words = mixing.words(4, 5, 6, 2 * draws);
    const chosen = Array.from({ length: draws }, (_, i) => (i % 9 === 0 ? reference.NOTHING : i % classes));
    const found = await compute(device, (rec) => {
      const onDevice = passes.map(({ logits, labels, confidence }, k) => ({
        logits: upload(device, logits, 'logits', { grad: false }),
        labels: uploadLabels(device, shape(batches[k]), labels),
        confidence: confidence && device.tensor(shape(batches[k]), 'confidence', { dense: true, data: confidence }),
      }));
      const codes = voxelCodes(rec, onDevice, thresholds);
      const index = indexVoxels(rec, codes, classes);
      const pairs = u32(device, words);
      return {
        codes,
        totals: index.totals,
        hard: sampleVoxels(rec, index, 'hard', draws, { perClass }, { words: pairs }),
        valid: sampleVoxels(rec, index, 'valid', draws, { perClass }, { words: pairs, stride: 2, at: 1 }),
        chosen: sampleVoxels(rec, index, 'valid', draws, { chosen: u32(device, chosen) }, { words: pairs }),
      };
    });
    assert.equal([...asWords(found.codes)], codes);
    const labels = Array.from({ length: draws }, (_, i) => Math.floor(i / perClass));
    const totals = Array.from(
      { length: 2 * classes },
      (_, column) => reference.members(codes, column >> 1, column % 2 ? 'hard' : 'valid').length,
    );
    assert.equal([...asWords(found.totals)], totals);
    assert.ok(
      totals.every((n) => n > 0),
      'the case leaves no class empty',
    );
    assert.equal([...asWords(found.hard)], reference.sampleVoxels(codes, 'hard', labels, words));
    const odd = words.filter((_, i) => i % 2 === 1);
    assert.equal([...asWords(found.valid)], reference.sampleVoxels(codes, 'valid', labels, odd));
    assert.equal([...asWords(found.chosen)], reference.sampleVoxels(codes, 'valid', chosen, words));
  });
}

gpuTest('draws are uniform over the voxels of a class, first and last included', async (device) => {
  const codes = Array.from({ length: 3000 }, (_, i) =>
    i % 100 === 99 ? 3 : i % 100 === 50 ? 2 : i % 3 === 0 ? 1 : 0xffffffff,
  );
  const draws = 9000;
  const words = u32(device, mixing.words(1, 2, 3, 2 * draws));
  const { hard, valid } = await compute(device, (rec) => {
    const index = indexVoxels(rec, u32(device, codes), 2);
    const chosen = u32(device, new Uint32Array(draws).fill(1));
    return {
      hard: sampleVoxels(rec, index, 'hard', draws, { chosen }, { words }),
      valid: sampleVoxels(rec, index, 'valid', draws, { chosen }, { words, stride: 2 }),
    };
  });
  for (const [name, found, cells] of [
    ['hard', hard, 30],
    ['valid', valid, 60],
  ] as const) {
    const counts = new Map<number, number>();
    for (const voxel of asWords(found)) counts.set(voxel, (counts.get(voxel) ?? 0) + 1);
    assert.is(counts.size, cells, `${name}: every voxel is drawn`);
    assert.ok([...counts.keys()].every((voxel) => codes[voxel] >= 2 && (name === 'valid' || codes[voxel] === 3)));
    assertUniform(name, [...counts.values()]);
  }
});

gpuTest('an absent class, one without hard voxels and one that is none draw nothing', async (device) => {
  const codes = u32(device, [4, 4, 0xffffffff, 1, 0]);
  const { hard, valid, none } = await compute(device, (rec) => {
    const index = indexVoxels(rec, codes, 3);
    const words = u32(device, mixing.words(1, 2, 3, 6));
    return {
      hard: sampleVoxels(rec, index, 'hard', 6, { perClass: 2 }, { words }),
      valid: sampleVoxels(rec, index, 'valid', 6, { perClass: 2 }, { words }),
      none: drawClasses(rec, device.tensor([1, 3], 'cdf', { dense: true }), 3, 3, words),
    };
  });
  const none4 = reference.NOTHING;
  assert.equal([...asWords(hard)], [3, 3, none4, none4, none4, none4]);
  assert.equal([...asWords(valid)].slice(2, 4), [none4, none4]);
  assert.ok([...asWords(valid)].slice(4).every((v) => v < 2));
  assert.equal([...asWords(none)], [none4, none4, none4]);
});

gpuTest('classes follow their shares, members of a pool are uniform', async (device) => {
  const shares = [
    [0, 0.25, 0.125, 0.625],
    [0.5, 0, 0.5, 0],
  ];
  const cdf = shares.map((row) => row.map((_, k) => row.slice(0, k + 1).reduce((a, b) => a + b)));
  const perRow = 8000;
  const words = mixing.words(8, 1, 2, 4 * perRow);
  const found = await compute(device, (rec) => {
    const t = device.tensor([2, 4], 'cdf', { dense: true, data: cdf.flat() });
    const w = u32(device, words);
    return {
      classes: drawClasses(rec, t, 2 * perRow, perRow, w),
      members: drawClasses(rec, t, 2 * perRow, perRow, w, 20),
    };
  });
  const classes = [...asWords(found.classes)];
  assert.equal(
    classes,
    classes.map((_, i) => reference.drawClass(cdf[Math.floor(i / perRow)], words[2 * i])),
  );
  shares.forEach((row, r) => {
    const drawn = classes.slice(r * perRow, (r + 1) * perRow);
    const statistic = row.reduce((sum, share, k) => {
      const count = drawn.filter((c) => c === k).length;
      assert.ok(share > 0 || count === 0, `class ${k} of row ${r} has no share`);
      return share > 0 ? sum + (count - share * perRow) ** 2 / (share * perRow) : sum;
    }, 0);
    assert.ok(statistic < 25, `row ${r}: chi-squared ${statistic} with at most two degrees of freedom`);
  });
  const members = [...asWords(found.members)];
  assert.equal(
    members.map((m) => Math.floor(m / 20)),
    classes,
  );
  const counts = new Array<number>(20).fill(0);
  for (const m of members) counts[m % 20]++;
  assertUniform('members', counts);
});

run();
