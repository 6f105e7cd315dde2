import * as assert from 'uvu/assert';
import { add, scale } from '../../engine/ops/elementwise.ts';
import { matmul } from '../../engine/ops/matmul.ts';
import { columnSums } from '../../engine/ops/reduce.ts';
import { sampleFeatures } from '../../engine/ops/sample_features.ts';
import { compute } from '../../engine/program.ts';
import { Recording } from '../../engine/recording.ts';
import { storedElements, type Tensor } from '../../engine/tensor.ts';
import { assertClose } from '../compare.ts';
import { checkOp, gpuTest, run, upload } from '../harness.ts';
import { checkPadding } from '../padding.ts';
import { type Dense, random, type Triple } from '../reference/dense.ts';
import * as reference from '../reference/sample_features.ts';

const NONE = 0xffffffff;

/** Points all over `samples` volumes, corners and repetitions among them. */
function points(count: number, samples: number, [d, h, w]: Triple, seed: number): number[] {
  const voxels = samples * d * h * w;
  const draws = Array.from(random([count], seed).data, (v) => Math.floor(((v + 1) / 2) * voxels));
  return [0, w - 1, voxels - 1, d * h * w - 1, NONE, 0, draws[0], draws[0] + 1, ...draws].filter(
    (v) => v < voxels || v === NONE,
  );
}

const levelsOf = (samples: number, extents: Triple[], channels: number[], seed: number): Dense[] =>
  extents.map((size, k) => random([samples, ...size, channels[k]], seed + k));

for (const [name, size, extents, channels] of [
  [
    'halving levels',
    [8, 12, 8],
    [
      [2, 3, 2],
      [4, 6, 4],
      [8, 12, 8],
    ],
    [8, 4, 4],
  ],
  [
    'odd channels and sizes',
    [5, 6, 7],
    [
      [3, 3, 4],
      [5, 6, 7],
    ],
    [5, 3],
  ],
  [
    'one voxel, one row, another resolution',
    [4, 3, 6],
    [
      [1, 1, 1],
      [4, 1, 2],
      [6, 5, 9],
    ],
    [4, 6, 1],
  ],
] as [string, Triple, Triple[], number[]][]) {
  for (const neighbourhood of [1, 3] as const) {
    for (const alignCorners of [true, false]) {
      const levels = levelsOf(2, extents, channels, 5);
      const at = points(40, 2, size, 9);
      const options = { size, neighbourhood, alignCorners };
      gpuTest(
        `${name}, ${neighbourhood ** 3} taps${alignCorners ? ', corners aligned' : ''}: equals the reference, both ways`,
        (device) =>
          checkOp(device, 'sample_features', {
            inputs: Object.fromEntries(levels.map((x, k) => [`level${k}`, x])),
            op: (rec, t) => {
              const index = device.tensor([at.length], 'points', { dtype: 'u32', dense: true, data: at });
              return sampleFeatures(
                rec,
                levels.map((_, k) => [t[`level${k}`]]),
                index,
                options,
              );
            },
            expected: reference.sampleFeatures(levels, at, options),
            gradients: (dy) =>
              Object.fromEntries(reference.sampleFeaturesGrad(dy, levels, at, options).map((g, k) => [`level${k}`, g])),
            gradientTolerance: { terms: 400 },
          }),
      );
    }
  }
}

const size: Triple = [4, 6, 5];
const levels = levelsOf(
  3,
  [
    [2, 3, 3],
    [4, 6, 5],
  ],
  [6, 4],
  11,
);
const options = { size, neighbourhood: 3, alignCorners: true } as const;

/** Samples from..to-1. */
function part(x: Dense, begin: number, end: number): Dense {
  const each = x.data.length / x.shape[0];
  return { shape: [end - begin, ...x.shape.slice(1)], data: x.data.slice(begin * each, end * each) };
}

gpuTest('samples in two passes give what one pass gives, both ways', (device) => {
  const at = points(30, 3, size, 21);
  const parts = Object.fromEntries(
    levels.flatMap((x, k) => [
      [`a${k}`, part(x, 0, 1)],
      [`b${k}`, part(x, 1, 3)],
    ]),
  );
  return checkOp(device, 'sample_features', {
    inputs: parts,
    op: (rec, t) => {
      const index = device.tensor([at.length], 'points', { dtype: 'u32', dense: true, data: at });
      return sampleFeatures(
        rec,
        [
          [t.a0, t.b0],
          [t.a1, t.b1],
        ],
        index,
        options,
      );
    },
    expected: reference.sampleFeatures(levels, at, options),
    gradients: (dy) => {
      const grads = reference.sampleFeaturesGrad(dy, levels, at, options);
      return Object.fromEntries(
        grads.flatMap((g, k) => [
          [`a${k}`, part(g, 0, 1)],
          [`b${k}`, part(g, 1, 3)],
        ]),
      );
    },
    gradientTolerance: { terms: 400 },
  });
});

gpuTest('256 draws of one voxel add up', (device) => {
  const at = new Array<number>(256).fill(37);
  return checkOp(device, 'sample_features', {
    inputs: { coarse: levels[0], fine: levels[1] },
    op: (rec, t) =>
      sampleFeatures(
        rec,
        [[t.coarse], [t.fine]],
        device.tensor([256], 'points', { dtype: 'u32', dense: true, data: at }),
        options,
      ),
    expected: reference.sampleFeatures(levels, at, options),
    gradients: (dy) => {
      const [coarse, fine] = reference.sampleFeaturesGrad(dy, levels, at, options);
      return { coarse, fine };
    },
    gradientTolerance: { terms: 2000 },
  });
});

/** Sum of x * weights, [1]. */
function weighted(rec: Recording, x: Tensor, weights: Tensor): Tensor {
  const flat = (t: Tensor) => rec.reshape(t, [1, storedElements(t)]);
  return rec.reshape(matmul(rec, flat(x), flat(weights), { transposeB: true }), [1]);
}

gpuTest(
  'the gradient joins that of other readers, whichever comes first, and leaves shared ones alone',
  async (device) => {
    const at = points(20, 3, size, 31);
    const index = device.tensor([at.length], 'points', { dtype: 'u32', dense: true, data: at });
    const dy = random([at.length, 27 * 4], 41);
    const seed = upload(device, dy, 'dy', { grad: false });
    const ones = device.tensor([4], 'ones', { data: [1, 1, 1, 1] });
    const base = levels[1];
    const [sparse] = reference.sampleFeaturesGrad(dy, [base], at, options);
    const leaf = (label: string) => ({ ...upload(device, base, label), grad: device.tensor(base.shape, `d${label}`) });
    for (const [order, summed] of [
      ['sampled first', 'x'],
      ['sampled last', 'x'],
      ['sampled last', 'x + other'], // add hands one gradient tensor to both
      ['sampled alone', 'x'],
    ]) {
      const input = leaf('x');
      const other = leaf('other');
      await compute(device, (rec) => {
        const x = scale(rec, input, 2);
        const sampled = () => weighted(rec, sampleFeatures(rec, [[x]], index, options), seed);
        const dense = () => weighted(rec, columnSums(rec, summed === 'x' ? x : add(rec, x, other)), ones);
        const parts = {
          'sampled first': [sampled, dense],
          'sampled last': [dense, sampled],
          'sampled alone': [sampled],
        };
        const loss = parts[order as keyof typeof parts].map((part) => part()).reduce((a, b) => add(rec, a, b));
        rec.backward(loss, { leaves: [input, other] });
        return { loss };
      });
      const dense = order === 'sampled alone' ? 0 : 1;
      const expected = { shape: base.shape, data: sparse.data.map((v) => 2 * (v + dense)) };
      assertClose(`${order}, ${summed}: dx`, await device.read(input.grad), expected, { terms: 400 });
      const toOther = { shape: base.shape, data: base.data.map(() => (summed === 'x' ? 0 : 1)) };
      assertClose(`${order}, ${summed}: dother`, await device.read(other.grad), toOther, { absolute: 0, relative: 0 });
    }
  },
);

gpuTest('padding of outputs and gradients is zero', (device) => {
  const index = device.tensor([5], 'points', { dtype: 'u32', dense: true, data: points(5, 3, size, 2).slice(0, 5) });
  return checkPadding(device, { coarse: levels[0], fine: random([3, 4, 6, 5, 3], 3) }, (rec, t) =>
    sampleFeatures(rec, [[t.coarse], [t.fine]], index, options),
  );
});

gpuTest('passes that do not match are an error that names them', async (device) => {
  const rec = new Recording(device, 'errors');
  const index = device.tensor([2], 'points', { dtype: 'u32', dense: true });
  const [coarse, fine] = levels.map((x, k) => upload(device, x, `level${k}`));
  const odd = upload(device, random([2, 4, 6, 5, 4], 1), 'odd');
  assert.throws(
    () => sampleFeatures(rec, [[coarse], [odd]], index, options),
    /'odd' \[2, 4, 6, 5, 4\] does not fit 'level0'/,
  );
  assert.throws(() => sampleFeatures(rec, [[coarse, coarse], [fine]], index, options), /needs the same passes/);
  assert.throws(
    () => sampleFeatures(rec, [[fine]], device.tensor([2], 'floats', { dense: true }), options),
    /'floats' \[2\] f32 must be dense u32/,
  );
});

run();
